"""Stopping early on recorded trainings: `python benchmarks/rungs.py` writes rungs.csv beside it.

curves.csv holds real trainings, epoch by epoch: random networks of `tiny` on digits, ten epochs
each. The constants of the rule were chosen on the set `digits`; `again` are other networks, trained
with another seed, which were not looked at before. `python benchmarks/rungs.py record SET` trains
a set and goes on where it was stopped; a quarter of an hour each.

A search at random goes through a set in the orders of ten seeds, with and without rungs.
Figures are medians and ranges over the orders: the epochs that were trained, as a share of those
of a search without rungs, and the hypervolume as a share of that search's, scaled to its front's
range with 1.1 as the reference.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from nas.insight.search import climbed
from nas.pareto import hypervolume, non_dominated
from nas.records import COMPLETE, Result, Trial

if TYPE_CHECKING:
    from nas.evaluate import Task
    from nas.space import Candidate

EPOCHS, SEEDS = 10, 10
RUNGS = ((1,), (2,), (1, 3), (1, 2, 4), (1, 2, 3, 4, 5))
CURVES = Path(__file__).with_name("curves.csv")
OUT = Path(__file__).with_suffix(".csv")
BOTH_LESS = (False, False)


NETWORKS = 100
SETS = {"digits": 0, "again": 1}  # seeds, of the networks and of their trainings
NAMES = [f"{kind}_{e + 1}" for kind in ("accuracy", "loss") for e in range(EPOCHS)]
HEAD = ("set", "id", "macs", "params", "validation_size", *NAMES)


def record(name: str) -> None:
    """Train every network of a set that is not recorded, and write what each epoch brought."""
    from nas.evaluate import Task, cached_data
    from nas.recipe import Recipe
    from nas.space_file import load_space

    seed, data = SETS[name], cached_data("digits", None)
    task = Task("digits", None, data.id, Recipe(epochs=EPOCHS))
    space, rng = load_space("tiny").bind(classes=len(data.classes)), random.Random(seed)
    found = {(c := space.candidate(space.sample(rng))).id: c for _ in range(2 * NETWORKS)}
    done = {row["id"] for row in rows() if row["set"] == name}
    for candidate in list(found.values())[:NETWORKS]:
        if candidate.id not in done:
            line = (name, candidate.id, *curve(candidate, task, seed))
            with CURVES.open("a", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(line)


def curve(candidate: Candidate, task: Task, seed: int) -> tuple[float, ...]:
    """Counts, then the accuracies and the losses of all epochs."""
    from nas.evaluate import climb

    rung = None
    for epochs in range(1, EPOCHS + 1):
        rung = climb(candidate.arch, task, seed, epochs, rung)
    assert rung
    counts = candidate.cost.macs, candidate.cost.params, rung.result.validation_size
    accuracies = [round(accuracy, 6) for _, accuracy in rung.result.rungs]
    return (*counts, *accuracies, *(round(loss, 6) for loss in rung.result.curve))


def rows() -> list[dict[str, str]]:
    with CURVES.open() as file:
        return list(csv.DictReader(file))


def trials(name: str) -> list[Trial]:
    """The recorded trainings of a set as complete trials."""
    return [_trial(row) for row in rows() if row["set"] == name]


def _trial(row: dict[str, str]) -> Trial:
    curve = tuple(float(row[f"loss_{e + 1}"]) for e in range(EPOCHS))
    accuracy, size = float(row[f"accuracy_{EPOCHS}"]), int(row["validation_size"])
    return Trial(
        number=0,
        id=row["id"],
        params={},
        arch={},
        cost={"macs": int(row["macs"]), "params": int(row["params"])},
        state=COMPLETE,
        seed=0,
        result=Result(accuracy, 0.0, size, curve, ((EPOCHS, accuracy),), 0.0),
    )


def searches(name: str, rungs: Sequence[int]) -> Iterator[tuple[float, float, int]]:
    """Share of the epochs, share of the hypervolume, and trials stopped, of every order."""
    recorded = trials(name)
    for seed in range(SEEDS):
        order = random.Random(seed).sample(recorded, len(recorded))
        done: list[Trial] = []
        for whole in order:
            done.append(climbed(whole, rungs, done, ("accuracy", "macs")))
        epochs = sum(len(trial.result.curve) for trial in done if trial.result)
        complete = [trial for trial in done if trial.state == COMPLETE]
        share = volume(complete, order) / volume(order, order)
        yield epochs / (EPOCHS * len(order)), share, len(done) - len(complete)


def volume(found: Sequence[Trial], order: Sequence[Trial]) -> float:
    every = points(order)
    front = every[non_dominated(every, BOTH_LESS)]
    low, high = front.min(axis=0), front.max(axis=0)
    return hypervolume((points(found) - low) / (high - low), (1.1, 1.1), BOTH_LESS)


def points(found: Sequence[Trial]) -> np.ndarray:
    """(trials, 2): error and MACs."""
    return np.array([[1 - t.result.accuracy, t.cost["macs"]] for t in found if t.result])


def main() -> None:
    found = []
    for name in SETS:
        for rungs in RUNGS:
            epochs, volumes, stopped = zip(*searches(name, rungs), strict=True)
            spelled = " ".join(map(str, rungs))
            figures = [f(x) for x in (epochs, volumes, stopped) for f in (median, min, max)]
            found.append((name, spelled, *(round(x, 4) for x in figures)))
            shares = f"{figures[0]:.0%} of the epochs, {figures[3]:.4f} of the hypervolume"
            print(f"{name}, rungs {spelled}: {shares}")
    names = [f"{kind}_{of}" for kind in ("epochs", "hypervolume", "stopped") for of in FIGURES]
    with OUT.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("set", "rungs", *names), *found])


FIGURES = ("median", "min", "max")

if __name__ == "__main__":
    record(sys.argv[2]) if sys.argv[1:2] == ["record"] else main()
