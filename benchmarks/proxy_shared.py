"""How well one shared network ranks NAS-Bench-Macro: proxy_shared.csv; the harness is proxy.py.

    python benchmarks/proxy_shared.py tune 100 seed=0 epochs=31 paths=1

trains a shared network of the space nas_bench_macro, on the 8,000 training images of CIFAR-10's
first 10,000 at 16 pixels, and scores the first 100 networks of the part `tune` on the other 2,000:
a line in proxy_shared.jsonl. `folder=DIR` keeps the network, and takes the one that is there.
Without arguments it writes the table of all lines, and draws τ against minutes.

Times are the processor's, of all threads: `minutes` of training in all, `seconds` a network.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from proxy import KEYS, line, networks, write

from nas.evaluate import Task, cached_data, climb
from nas.recipe import Recipe
from nas.records import append_line, read_lines
from nas.shared.paths import Paths
from nas.shared.prepare import Job, prepare
from nas.shared.training import SharedRecipe
from nas.space_file import load_space

LOG = Path(__file__).with_suffix(".jsonl")
BASE = {"proxy_resolution": 16, "subset": 8000, "batch": 64, "learning_rate": 0.1, "epochs": 31}
HOW = ("paths", "sandwich")


def measure(part: str, count: int, *, seed: int, folder: Path, **given: Any) -> dict[str, Any]:
    """Train a shared network and score networks; a line of the log."""
    how = {key: given.pop(key) for key in HOW if key in given}
    recipe = Recipe(**{**BASE, "threads": torch.get_num_threads(), **given})
    path = str(Path(os.environ["NAS_TEST_DATA"]) / "cifar10_10k2k.npz")
    task = Task(path, None, cached_data(path, None).id, recipe, resolution=32)
    space = load_space("nas_bench_macro").bind(resolution=32, classes=10)
    job = Job(
        space,
        Paths(space, lambda _: 0.0),
        task,
        SharedRecipe(recipe, 32, **how),
        None,
        seed,
        folder,
    )
    began, wall = time.process_time(), time.time()
    found = prepare(job, print, lambda *told: print(*told, f"{time.time() - wall:.0f} s"))
    trained = time.process_time()
    task = Task(path, None, task.data_id, recipe, 32, shared=found)
    judged = networks(part, count)
    results = [climb(network.arch, task, 0, 1).result for network in judged]
    return {
        "way": " ".join(f"{key}={value}" for key, value in sorted({**given, **how}.items())),
        "seed": seed,
        "part": part,
        "minutes": round((trained - began) / 60, 2),
        "seconds": round((time.process_time() - trained) / count, 3),
        "accuracy": [r.accuracy for r in results],
        "loss": [round(r.cross_entropy, 5) for r in results],
    }


def scores(entry: dict[str, Any]) -> dict[str, Sequence[float]]:
    """What networks are ranked by, more is better."""
    accuracy, loss = entry["accuracy"], [-x for x in entry["loss"]]
    return {"accuracy": accuracy, "loss": loss}


def lines(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    judged = networks(entry["part"], len(entry["accuracy"]))
    for name, values in scores(entry).items():
        way = f"shared, {entry['way']}, seed {entry['seed']}"
        yield line(way, name, values, judged, entry["seconds"])


def main(arguments: Sequence[str]) -> None:
    if arguments:
        part, count, *settings = arguments
        given = dict(setting.split("=") for setting in settings)
        folder = given.pop("folder", None)
        read = {key: json.loads(value) for key, value in given.items()}
        with tempfile.TemporaryDirectory() as temporary:
            entry = measure(part, int(count), folder=Path(folder or temporary), **read)
        append_line(LOG, json.dumps(entry))
    entries = read_lines(LOG)
    write("shared", [row for entry in entries for row in lines(entry)])
    plot([entry for entry in entries if entry["part"] == "judge"])


def plot(entries: Sequence[dict[str, Any]]) -> None:
    """τ by the loss against the minutes of training, a point a shared network."""
    figure, axes = plt.subplots(figsize=(5, 3.4), layout="constrained")
    for key, label in zip(KEYS, ("all networks", "better half"), strict=True):
        points = [
            (minutes_of(e, entries), row[key])
            for e in entries
            for row in lines(e)
            if row["score"] == "loss"
        ]
        means = {at: np.mean([tau for x, tau in points if x == at]) for at, _ in sorted(points)}
        color = axes.plot([*means], [*means.values()], lw=1)[0].get_color()
        axes.plot(*zip(*points, strict=True), "o", ms=3, color=color, label=label)
    axes.set(xlabel="minutes of training on two cores", ylabel="Kendall's τ, by the loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(LOG.with_suffix(".png"), dpi=110)


def minutes_of(entry: dict[str, Any], entries: Sequence[dict[str, Any]]) -> float:
    """Half of the processor's minutes, in the mean over the networks that were trained alike."""
    alike = [e["minutes"] for e in entries if e["way"] == entry["way"] and e["minutes"]]
    return float(np.mean(alike)) / 2


if __name__ == "__main__":
    main(sys.argv[1:])
