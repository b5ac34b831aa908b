"""What ranks networks that are trained alone and briefly: proxy_alone.csv; the harness is proxy.py.

    python benchmarks/proxy_alone.py train tune 24 width=0.5 epochs=4 learning_rate=0.1

trains the first 24 networks of the part `tune` by a recipe: a line each in proxy_alone.jsonl, where
one that is there is not trained again. Without arguments it writes the table of all lines.

Data are 10,000 images of CIFAR-10: up to 8,000 to train, 2,000 to score. Read from a training:

- accuracy and loss (cross-entropy) on the 2,000, at the end; and after each epoch by weights that
  are averaged exponentially over about a third of an epoch, as if the rate had come down there;
- the training loss of an epoch, and the sum of all so far (Ru et al. 2021, arXiv:2006.04492);
- the mean of a network's ranks by one of them and by its activations, which cost nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from proxy import Network, baselines, counts, line, networks, table, write
from scipy.stats import rankdata
from torch import nn

from nas.evaluate import Task, cached_data, proxy_images, proxy_module
from nas.ranking import agreement
from nas.recipe import Recipe
from nas.records import append_line, read_lines
from nas.space import proxy_side
from nas.training.brief import Training
from nas.training.score import score

LOG = Path(__file__).with_suffix(".jsonl")
BASE = {"proxy_resolution": 16, "subset": 8000, "batch": 64, "learning_rate": 0.03}
SHARE = 1 / 3  # of an epoch, that weights are averaged over

Reading = dict[str, Any]
# After the whole training, and after a number of its epochs.
FINAL: dict[str, Callable[[Reading], float]] = {
    "accuracy": lambda r: r["accuracy"],
    "loss": lambda r: -r["loss"],
}
EARLY: dict[str, Callable[[Reading, int], float]] = {
    "averaged accuracy": lambda r, epochs: r["averaged_accuracy"][epochs - 1],
    "averaged loss": lambda r, epochs: -r["averaged_loss"][epochs - 1],
    "training loss": lambda r, epochs: -r["curve"][epochs - 1],
    "sum of training losses": lambda r, epochs: -sum(r["curve"][:epochs]),
}


class Averaged:
    """An exponential average of a module's parameters and batch norm statistics."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = [t for t in module.state_dict().values() if t.is_floating_point()]
        self.mean = [t.clone() for t in self.live]

    def update(self, *_: Any) -> None:
        torch._foreach_lerp_(self.mean, [t.detach() for t in self.live], 1 - self.decay)

    def swap(self) -> None:
        """Exchange the module's numbers and their averages."""
        for tensor, mean in zip(self.live, self.mean, strict=True):
            kept = tensor.clone()
            tensor.copy_(mean)
            mean.copy_(kept)


@cache
def task(recipe: Recipe) -> Task:
    path = str(Path(os.environ["NAS_TEST_DATA"]) / "cifar10_10k2k.npz")
    return Task(path, None, cached_data(path, None).id, recipe, resolution=32)


def train(network: Network, recipe: Recipe, seed: int = 0) -> Reading:
    """Train a network; all that can be read from it, after each epoch.

    `seconds` are those of this process until then, without scoring the averaged weights.
    """
    job = task(recipe)
    data = cached_data(job.data, None)
    images, validation = proxy_images(job, proxy_side(32, 32, recipe.proxy_resolution))
    found: Reading = {"averaged_accuracy": [], "averaged_loss": [], "seconds": []}
    began = time.process_time()
    module = proxy_module(network.arch, job, len(data.classes), seed, check=False)
    training = Training(module, images, data, recipe, seed=seed)
    averaged = Averaged(module, 1 - 1 / max(SHARE * (len(images) // recipe.batch), 1))
    training._optimiser.register_step_post_hook(averaged.update)
    for epoch in range(1, recipe.epochs + 1):
        training.advance(epoch)
        found["seconds"].append(time.process_time() - began)
        averaged.swap()
        accuracy, loss, _ = score(module, validation, data)
        found["averaged_accuracy"].append(accuracy)
        found["averaged_loss"].append(loss)
        averaged.swap()
        began += time.process_time() - began - found["seconds"][-1]
    accuracy, loss, _ = score(module, validation, data)
    return found | {"accuracy": accuracy, "loss": loss, "curve": training.curve}


def label(recipe: Recipe) -> str:
    """A recipe in a few words."""
    size = f"{recipe.proxy_resolution} px, width {recipe.width:g}"
    length = f"{recipe.epochs} × {recipe.subset}, batch {recipe.batch}"
    return f"{size}, {length}, rate {recipe.learning_rate:g}"


def complete(judged: Sequence[Network], recipe: Recipe) -> None:
    """Train what the log lacks."""
    way = label(recipe)
    had = {entry["layers"] for entry in read_lines(LOG, repair=True) if entry["way"] == way}
    for network in judged:
        if network.layers not in had:
            found = {"way": way, "layers": network.layers, **train(network, recipe)}
            append_line(LOG, json.dumps(rounded(found), ensure_ascii=False))


def rounded(value: Any) -> Any:
    """Numbers of six digits, which make short lines."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def rows() -> Iterator[dict[str, Any]]:
    """Every score of every way on each part, and the baselines on the same networks."""
    tuned = {n.layers for n in networks("tune", len(table()))}
    found: dict[tuple[str, bool], dict[str, Reading]] = defaultdict(dict)
    for reading in read_lines(LOG):
        found[reading["way"], reading["layers"] in tuned][reading["layers"]] = reading
    yield from _between(found)
    judged = {}
    for (way, _), readings in found.items():
        known = [network for network in table() if network.layers in readings]
        judged[tuple(network.layers for network in known)] = known
        yield from _rows(way, [readings[network.layers] for network in known], known)
    for known in judged.values():
        yield from baselines(known)


def _between(found: Mapping[tuple[str, bool], dict[str, Reading]]) -> Iterator[dict[str, Any]]:
    """How far two ways agree with each other by their losses: what they err in alike, or not."""
    for (one, part), (other, same) in combinations(found, 2):
        both = [layers for layers in found[one, part] if layers in found[other, same]]
        if part == same and both:
            losses = [[found[way, part][n]["loss"] for n in both] for way in (one, other)]
            own = agreement(*losses)
            facts = {"way": one, "score": f"loss, by that of {other}", "part": "two ways"}
            own_figures = {"tau": own.tau, "tau_low": own.low, "tau_high": own.high}
            yield {**facts, "networks": len(both), **rounded(own_figures)}


def _rows(
    way: str, readings: Sequence[Reading], judged: Sequence[Network]
) -> Iterator[dict[str, Any]]:
    epochs = len(readings[0]["curve"])
    seconds = np.mean([r["seconds"] for r in readings], axis=0)
    counted = rankdata(counts("activations", judged))
    for name, read in FINAL.items():
        scores = [read(r) for r in readings]
        yield line(way, name, scores, judged, seconds[-1])
        ranks = list(rankdata(scores) + counted)
        yield line(way, f"{name} and activations", ranks, judged, seconds[-1])
    for epoch in range(1, epochs + 1):
        for name, early in EARLY.items():
            found = [early(r, epoch) for r in readings]
            yield line(way, f"{name}, epoch {epoch}", found, judged, seconds[epoch - 1])


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(1)
    if arguments:
        _, part, count, *settings = arguments
        given = {key: json.loads(value) for key, _, value in (s.partition("=") for s in settings)}
        complete(networks(part, int(count)), Recipe(**{**BASE, **given}))
    write("alone", list(rows()))


if __name__ == "__main__":
    main(sys.argv[1:])
