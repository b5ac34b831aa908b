"""What may differ between architectures that share weights: proxy_interference.csv.

    python benchmarks/proxy_interference.py

trains shared networks of the space `mobile` on digits, 12 epochs each, by architectures of one
family, with skip connections or without, that differ in one parameter of all stages and are else
alike; last by such that differ in the families. A line has the loss of the last epoch. Guessing has
2.30; the first line of a family is one network, whose loss is that of training it alone.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from pathlib import Path

import torch

from nas.arch import Architecture
from nas.evaluate import Task, cached_data, proxy_images
from nas.recipe import Recipe
from nas.shared.network import SharedNetwork
from nas.shared.paths import Paths
from nas.shared.survey import survey
from nas.shared.training import SharedRecipe, SharedTraining
from nas.space import RESOLUTION, Space, Value, proxy_side
from nas.space_file import load_space

OUT = Path(__file__).with_suffix(".csv")
RECIPE = Recipe(epochs=12, batch=32, learning_rate=0.02, subset=10_000)
# By the last word of a parameter's path; others take their middle value.
ALIKE: dict[str, Value] = {
    "attention": "none",
    "activation": "relu",
    "groups": 1,
    "kernel": 3,
    "depth": 2,
    "width_multiplier": 1,
}
PLAIN = ("nothing", "kernel", "activation", "resolution_multiplier", "width", "groups", "attention")
RUNS = {  # by family
    "conv": (*PLAIN, "depth"),
    "inverted_residual": ("nothing", "depth", "attention"),
    "all": ("block",),
}


class Varied(Paths):
    """Architectures of a family that are alike in all but some parameters; no budget."""

    def __init__(self, space: Space, family: str, varied: str) -> None:
        super().__init__(space, lambda _: 0.0)
        self._family, self._varied = family, varied

    def draw(self, rng: random.Random) -> Iterator[Architecture]:
        while True:
            yield self.space.architecture({p: self._value(p, rng) for p in self._values})

    def _value(self, path: str, rng: random.Random) -> Value:
        values, name = self._values[path], path.rpartition(".")[2]
        if name == self._varied:
            return rng.choice(values)
        return self._family if name == "block" else ALIKE.get(name, values[len(values) // 2])


def loss(paths: Paths) -> float:
    """The training loss at the end."""
    data = cached_data("digits", None)
    task = Task("digits", None, data.id, RECIPE)
    side = proxy_side(RESOLUTION, RESOLUTION, RECIPE.proxy_resolution)
    how = SharedRecipe(RECIPE, RESOLUTION)
    network = SharedNetwork(survey(paths.space), seed=0)
    images, _ = proxy_images(task, side)
    training = SharedTraining(network, images, data, how, paths, seed=0)
    training.advance(RECIPE.epochs)
    return training.curve[-1]


def main() -> None:
    torch.set_num_threads(1)
    space = load_space("mobile").bind(resolution=RESOLUTION, classes=10)
    with OUT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("family", "varied", "loss"))
        for family, names in RUNS.items():
            for varied in names:
                row = family, varied, round(loss(Varied(space, family, varied)), 3)
                writer.writerow(row)
                file.flush()
                print(*row, flush=True)


if __name__ == "__main__":
    main()
