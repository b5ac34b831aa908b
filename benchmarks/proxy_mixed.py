"""How well cheap evaluations rank networks of mixed families: proxy_mixed.csv; proxy.py has τ.

    python benchmarks/proxy_mixed.py truth cifar10 20     # trained alone, three times `thorough`
    python benchmarks/proxy_mixed.py alone cifar10 20 preset=standard
    python benchmarks/proxy_mixed.py shared cifar10 20 epochs=30 seed=0 sandwich=true paths=3
    python benchmarks/proxy_mixed.py shared cifar10 20 epochs=30 families=true
    python benchmarks/proxy_mixed.py counts cifar10 20

evaluate the first random networks of the space `mobile` within 300 M MACs, whose stages take one of
eight families each, on `cifar10`, its first 10,000 + 2,000 images from the folder NAS_TEST_DATA, or
on `digits`: a line a network in proxy_mixed.jsonl, where one that is there is not done again.
Without arguments the table of all lines is written.

With `families` a shared network is trained by paths of one family each, of one stem and one head.

Truth is the accuracy of the long trainings on all images that none was trained by: the validation
part, which proxies are scored on too, and the test part. Seconds are those of the processor.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from proxy import figures, write

from nas.arch import Architecture
from nas.cost import cost
from nas.data import resized
from nas.evaluate import Task, cached_data, proxied, proxy_images, proxy_module
from nas.feasible import random_candidates
from nas.proxies import PROXIES, first_images, zero_cost
from nas.recipe import Recipe
from nas.records import append_line, read_lines
from nas.shared.checkpoint import load
from nas.shared.paths import Paths, dealt
from nas.shared.prepare import Job, prepare
from nas.shared.scoring import CALIBRATION, calibrate, module_of
from nas.shared.training import SharedRecipe, shared_recipe
from nas.space import RESOLUTION, Candidate, Space, proxy_side
from nas.space_file import load_space
from nas.training.brief import Training
from nas.training.score import score

LOG = Path(__file__).with_suffix(".jsonl")
BUDGET = 300e6  # MACs
LONGER = 3  # times `thorough`
QUICKLY = {
    "batch": 128,
    "learning_rate": 0.08,
}  # in two thirds of the time, at the same rate an image
FILES = {"cifar10": "cifar10_10k2k.npz"}
HOW = ("paths", "sandwich")
COUNTED = ("macs", "params", "activations", *PROXIES)


@cache
def space() -> Space:
    return load_space("mobile").bind(resolution=RESOLUTION, classes=10)


@cache
def networks(count: int) -> tuple[Architecture, ...]:
    """The first random ones within the budget."""
    found = {c.id: c.arch for c in random_candidates(space(), 20 * count, 0) if over(c) <= 0}
    return tuple(found.values())[:count]


def over(candidate: Candidate) -> float:
    return candidate.cost.macs / BUDGET - 1


def task(data: str, recipe: Recipe) -> Task:
    name = str(Path(os.environ["NAS_TEST_DATA"]) / FILES[data]) if data in FILES else data
    return Task(name, None, cached_data(name, None).id, recipe)


class OneFamily(Paths):
    """Paths all of whose stages are of one family: a network a family, of one stem and one head."""

    def draw(self, rng: random.Random) -> Iterator[Architecture]:
        blocks = [path for path in self._values if path.endswith(".block")]
        others = [path for path in self._values if path not in blocks]
        for family in dealt(self._values[blocks[0]], rng):
            params = {path: rng.choice(values) for path, values in self._values.items()}
            found = self._within(params | dict.fromkeys(blocks, family), others, rng)
            if found:
                yield self.space.architecture(found)


# Ways --------------------------------------------------------------------------------------------


def alone(arch: Architecture, job: Task, seed: int) -> dict[str, Any]:
    """Train a network by a recipe."""
    data, side = cached_data(job.data, None), side_of(arch, job)
    images, _ = proxy_images(job, side)
    module = proxy_module(arch, job, len(data.classes), seed, check=False)
    Training(module, images, data, job.recipe, seed=seed).advance(job.recipe.epochs)
    return scored(module, job, side)


def part(arch: Architecture, job: Task) -> dict[str, Any]:
    """A network as a part of a shared one."""
    side = side_of(arch, job)
    images, _ = proxy_images(job, side)
    module = module_of(load(job.shared), proxied(arch, job.recipe))
    calibrate(module, images.take(slice(CALIBRATION)), cached_data(job.data, None))
    return scored(module, job, side)


def scored(module: torch.nn.Module, job: Task, side: int) -> dict[str, Any]:
    """On the validation part, and on the test part."""
    data = cached_data(job.data, None)
    found: dict[str, Any] = {}
    for name, images in (("validation", proxy_images(job, side)[1]), ("test", data.test)):
        accuracy, loss, _ = score(module, resized(images, side), data)
        found[name] = {"accuracy": accuracy, "cross_entropy": loss}
    return found


def side_of(arch: Architecture, job: Task) -> int:
    return proxy_side(arch.input[1], job.resolution, job.recipe.proxy_resolution)


def counted(arch: Architecture, job: Task) -> dict[str, Any]:
    """Costs of the deployed network, and scores of the untrained proxy."""
    data, side = cached_data(job.data, None), side_of(arch, job)
    own = cost(arch)
    proxy = Architecture.from_dict({**arch.to_dict(), "input": [3, side, side]}, "proxy")
    found = zero_cost(proxy, first_images(data, side, 64), names=list(PROXIES))
    return {"macs": own.macs, "params": own.params, "activations": own.activations, **found}


def train_shared(data: str, folder: Path, seed: int, **given: Any) -> Task:
    """A task of the parts of a shared network; it is trained unless the folder has it."""
    how = {key: given.pop(key) for key in HOW if key in given}
    kind = OneFamily if given.pop("families", False) else Paths
    job = task(data, shared_recipe(Recipe()).but(threads=torch.get_num_threads(), **given))
    recipe, paths = SharedRecipe(job.recipe, RESOLUTION, **how), kind(space(), over)
    began = time.process_time()
    whole = Job(space(), paths, job, recipe, None, seed, folder)
    found = prepare(whole, print, lambda *told: print(*told, int(time.process_time() - began)))
    return Task(job.data, None, job.data_id, job.recipe, shared=found)


# Log ---------------------------------------------------------------------------------------------


def complete(way: str, data: str, count: int, evaluate: Any, **facts: Any) -> None:
    """Evaluate what the log lacks; another process may do so at the same time, from the end."""
    for arch in networks(count)[:: -1 if os.environ.get("FROM_THE_END") else 1]:
        if arch.id not in {
            e["id"] for e in read_lines(LOG) if (e["way"], e["data"]) == (way, data)
        }:
            began = time.process_time()
            found = evaluate(arch)
            seconds = round(time.process_time() - began, 2)
            entry = {"way": way, "data": data, "id": arch.id, "seconds": seconds, **facts, **found}
            append_line(LOG, json.dumps(entry))


# Table -------------------------------------------------------------------------------------------


def rows(data: str) -> Iterator[dict[str, Any]]:
    """τ of every score of every way, on the networks that have a truth."""
    found: dict[str, dict[str, Any]] = {}
    for entry in read_lines(LOG):
        if entry["data"] == data:
            found.setdefault(entry["way"], {})[entry["id"]] = entry
    truth = {key: unseen(entry) for key, entry in found.pop("truth", {}).items()}
    for way, entries in found.items():
        known = [entries[key] for key in truth if key in entries]
        judged = [truth[entry["id"]] for entry in known]
        seconds = round(float(np.mean([entry["seconds"] for entry in known])), 2)
        facts = {"way": way, "part": data, "networks": len(known), "seconds": seconds}
        for name, values in _scores(known).items():
            yield {**facts, "score": name, **figures(values, judged)}


def unseen(entry: dict[str, Any]) -> float:
    """The accuracy on all images that it has not seen: validation and test part, of one size."""
    return float(entry["validation"]["accuracy"] + entry["test"]["accuracy"]) / 2


def _scores(entries: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """What networks are ranked by, more is better."""
    if "macs" in entries[0]:
        return {name: [entry[name] for entry in entries] for name in COUNTED}
    found = [entry["validation"] for entry in entries]
    loss = [-entry["cross_entropy"] for entry in found]
    return {"accuracy": [entry["accuracy"] for entry in found], "loss": loss}


def main(arguments: Sequence[str]) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if arguments:
        evaluate(*arguments)
    else:
        write("mixed", [row for data in (*FILES, "digits") for row in rows(data)])


def evaluate(way: str, data: str, count: str, *settings: str) -> None:
    """Log what a way finds of the first `count` networks."""
    given = {k: v for k, _, v in (setting.partition("=") for setting in settings)}
    folder, preset = given.pop("folder", None), given.pop("preset", "thorough")
    read = {key: json.loads(value) for key, value in given.items()}
    seed = read.pop("seed", 0)
    if way == "counts":
        job = task(data, Recipe())
        return complete(way, data, int(count), lambda arch: counted(arch, job))
    if way == "shared":
        with tempfile.TemporaryDirectory() as temporary:
            began = time.process_time()
            job = train_shared(data, Path(folder or temporary), seed, **read)
            minutes = round((time.process_time() - began) / 60, 2)
            name = " ".join(["shared", *(f"{k}={v}" for k, v in sorted(given.items()))])
            return complete(name, data, int(count), lambda arch: part(arch, job), minutes=minutes)
    recipe = Recipe.load(preset)
    if way == "truth":
        recipe = recipe.but(epochs=recipe.epochs * LONGER, **QUICKLY)
    job = task(data, recipe.but(**read))
    name = way if way == "truth" else " ".join([f"alone {preset}", *settings[1:]])
    return complete(name, data, int(count), lambda arch: alone(arch, job, seed))


if __name__ == "__main__":
    main(sys.argv[1:])
