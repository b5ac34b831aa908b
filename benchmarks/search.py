"""How few trainings a search needs: `python benchmarks/search.py` writes search.csv and search.png.

NAS-Bench-Macro (Su et al. 2021: 6,561 networks on CIFAR-10, 3,969 of them distinct), read from the
folder NAS_TEST_DATA, and variations of it: other costs, three objectives, half of the rows, one
seed's accuracy, labels in another order, and a table made up here. The figure is the share of the
true front's hypervolume, each axis scaled to that front's range, reference 1.1. Networks are
counted that are trained: two rows of one network, equal up to where identities stand, count once.

search.csv: a line for each variation, sampler and seed, by distinct networks and by asks, with a
column for each number of them. Lines that it has are not run again. search_seconds.csv: what the
sampler itself takes. `python benchmarks/search.py VARIATION…` runs some of the variations.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.table import Table, read_table
from nas.table_search import COST_AWARE, only_rows, run, sampler_of

SEEDS = 10
COUNTS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 175, 200, 250, 300)
OUT = Path(__file__).with_suffix(".csv")
FIELDS = ["variation", "sampler", "seed", "by", "repeated", *map(str, COUNTS)]

Make = Callable[[Table, int], BaseSampler]
SAMPLERS: dict[str, Make] = {
    "random": lambda table, seed: RandomSampler(seed=seed),
    "nsga2": lambda table, seed: NSGAIISampler(seed=seed),
    "nsga2, 20": lambda table, seed: NSGAIISampler(seed=seed, population_size=20),
    "tpe": lambda table, seed: TPESampler(seed=seed, multivariate=True),
    COST_AWARE: lambda table, seed: sampler_of(table, COST_AWARE, seed, 0),
}


# Tables ------------------------------------------------------------------------------------------


@cache
def macro(accuracy: str = "mean_acc", costs: tuple[str, ...] = ("macs",)) -> Table:
    path = Path(os.environ["NAS_TEST_DATA"]) / "nas_bench_macro.csv"
    return read_table(path, ["arch:chars"], accuracy, costs)


def half(seed: int) -> Table:
    """Half of the rows, at random."""
    table = macro()
    rows = np.random.default_rng(seed).choice(len(table), len(table) // 2, replace=False)
    keys = tuple(table.keys[row] for row in rows)
    return Table(table.path, table.parameters, keys, table.objectives, table.values[rows])


@dataclass(frozen=True)
class Labelled(Table):
    """Values as integers in an order that means nothing."""

    labels: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def distributions(self) -> Any:
        return {name: IntDistribution(0, len(own) - 1) for name, own in self.labels.items()}

    @property
    def size(self) -> int:
        return len(self)

    def row(self, params: Any) -> int | None:
        return super().row({name: own[params[name]] for name, own in self.labels.items()})


def labelled(seed: int) -> Table:
    table, rng = macro(), np.random.default_rng(seed)
    labels = {
        name: dict(enumerate(map(str, rng.permutation(distribution.choices))))
        for name, distribution in table.distributions.items()
    }
    return Labelled(
        table.path, table.parameters, table.keys, table.objectives, table.values, labels
    )


@cache
def synthetic() -> Table:
    """Four stages of depth and width, a kernel, a resolution; accuracy saturates in each."""
    depths, widths = (1, 2, 3, 4), (16, 24, 32)
    names = [f"{what}{i}" for i in range(4) for what in ("depth", "width")] + ["kernel"]
    keys, values = [], []
    effect = np.random.default_rng(7).normal(0, 0.3, (4, 4, 3))
    for point in product(*(depths[:3], widths) * 4, (3, 5)):
        depth, width, kernel = np.array(point[:8:2]), np.array(point[1:8:2]), point[8]
        macs = (depth * width**2 * [4, 3, 2, 1]).sum() * (1 + kernel / 10)
        gain = (np.log(depth * width) * [0.5, 0.7, 1.0, 0.8]).sum() + 0.1 * kernel
        gain += sum(
            effect[i, d - 1, w // 8 - 2] for i, (d, w) in enumerate(zip(depth, width, strict=True))
        )
        keys.append(tuple(map(str, point)))
        values.append((95 - 40 * np.exp(-gain / 4), float(macs)))
    return Table("synthetic", tuple(names), tuple(keys), ("accuracy", "macs"), np.array(values))


@dataclass(frozen=True)
class Variation:
    """What is told to a sampler, by seed, and by which rows it is judged."""

    told: Callable[[int], Table]
    judged: Callable[[int], Table]
    trials: int
    samplers: Sequence[str] = ("random", "tpe", COST_AWARE)


def same(table: Callable[[int], Table], trials: int, samplers: Sequence[str]) -> Variation:
    return Variation(table, table, trials, samplers)


FEW = ("random", "tpe", COST_AWARE)
VARIATIONS = {
    "macs": same(lambda seed: macro(), 300, tuple(SAMPLERS)),
    "params": same(lambda seed: macro(costs=("params",)), 100, FEW),
    "macs and params": same(lambda seed: macro(costs=("macs", "params")), 200, FEW),
    "half of the rows": same(half, 100, FEW),
    "one seed's accuracy": Variation(
        lambda seed: macro(f"acc{seed % 3 + 1}"), lambda seed: macro(), 100, FEW
    ),
    "labels as integers": same(labelled, 100, FEW),
    "synthetic": same(lambda seed: synthetic(), 100, FEW),
}


# Runs --------------------------------------------------------------------------------------------


def network(key: Sequence[str]) -> tuple[str, ...]:
    """NAS-Bench-Macro's network: identities that are not first in a stage moved to its end."""
    if len(key) != 8:
        return tuple(key)
    found: list[str] = []
    for first, *others in (key[:2], key[2:5], key[5:]):
        found += [first, *sorted(others, key=lambda choice: choice == "0")]
    return tuple(found)


def search(name: str, sampler: str, seed: int) -> Iterator[dict[str, Any]]:
    """Two lines: shares by distinct networks, and by asks."""
    variation = VARIATIONS[name]
    told, judged = variation.told(seed), variation.judged(seed)
    made = only_rows(told, SAMPLERS[sampler](told, seed), seed)
    rows: list[int] = []
    asked: list[int] = []  # asks that it took to come to each row
    networks: dict[tuple[str, ...], int] = {}  # rows by then
    for step in run(told, sampler, made, seed, 2 * variation.trials):
        rows.append(step.row)
        asked.append(step.asks)
        networks.setdefault(network(told.keys[step.row]), len(rows))
        if len(networks) == variation.trials:
            break
    repeated = {"repeated": asked[-1] - len(rows)}
    told_by = {
        "networks": dict(enumerate(networks.values(), 1)),
        "asks": {c: bisect_right(asked, c) for c in COUNTS if c <= asked[-1]},
    }
    for by, taken in told_by.items():
        shares = {str(c): round(judged.share(rows[: taken[c]]), 5) for c in COUNTS if c in taken}
        yield {"variation": name, "sampler": sampler, "seed": seed} | repeated | {"by": by} | shares


def done() -> list[dict[str, str]]:
    """The lines of search.csv."""
    if not OUT.exists():
        return []
    with OUT.open(newline="") as file:
        return list(csv.DictReader(file))


def complete(names: Sequence[str]) -> None:
    """Run what search.csv lacks of these variations, and add it."""
    had = {(line["variation"], line["sampler"], line["seed"]) for line in done()}
    begin = not OUT.exists()
    with OUT.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if begin:
            writer.writeheader()
        for name in names:
            for sampler, seed in product(VARIATIONS[name].samplers, range(SEEDS)):
                if (name, sampler, str(seed)) not in had:
                    writer.writerows(search(name, sampler, seed))
                    file.flush()


# The sampler's own time --------------------------------------------------------------------------


def own_seconds(trials: int = 200) -> float:
    """Of asking and telling so many trials, the table's look-ups among them."""
    table = macro()
    steps = list(run(table, COST_AWARE, SAMPLERS[COST_AWARE](table, 0), 0, trials))
    return steps[-1].seconds


def ask_ms(finished: int = 5000, asks: int = 20) -> tuple[float, float]:
    """Milliseconds of the first ask, and median of some, with so many finished trials."""
    table = macro()
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=SAMPLERS[COST_AWARE](table, 0)
    )
    for row in np.random.default_rng(0).permutation(len(table))[:finished]:
        params, values = table.params(int(row)), [float(v) for v in table.values[row]]
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=dict(table.distributions), values=values
            )
        )
    times = []
    for _ in range(asks):
        began = time.perf_counter()
        asked = study.ask(dict(table.distributions))
        times.append(1e3 * (time.perf_counter() - began))
        study.tell(asked, [float(value) for value in table.values[table.row(asked.params)]])
    return times[0], float(np.median(times))


def clock() -> None:
    """Write search_seconds.csv."""
    first, median = ask_ms()
    rows = [
        ("seconds of 200 trials, least of 3", round(min(own_seconds() for _ in range(3)), 2)),
        ("ms of the first ask with 5,000 finished trials", round(first)),
        ("ms of an ask with 5,000 finished trials, median of 20", round(median)),
    ]
    with OUT.with_name("search_seconds.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("figure", "value"), *rows])


# What comes of it --------------------------------------------------------------------------------


def table_of(by: str = "networks") -> None:
    """Print medians and quartiles."""
    for name, variation in VARIATIONS.items():
        print(f"\n{name}, by {by}")
        for sampler in variation.samplers:
            cells = []
            for count in (25, 50, 100, 200, 300):
                if shares := values(name, sampler, by, count):
                    low, median, high = np.quantile(shares, (0.25, 0.5, 0.75))
                    cells.append(f"{count}: {median:.4f} ({low:.4f}–{high:.4f})")
            print(f"  {sampler:10}", "  ".join(cells))


def values(name: str, sampler: str, by: str, count: int) -> list[float]:
    lines = [line for line in done() if (line["variation"], line["sampler"]) == (name, sampler)]
    return [float(line[str(count)]) for line in lines if line["by"] == by and line[str(count)]]


def plot() -> None:
    """Medians and quartiles of what is missing of the hypervolume, against trainings."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for panel, by in zip(axes, ("networks", "asks"), strict=True):
        for sampler in SAMPLERS:
            found = [values("macs", sampler, by, count) for count in COUNTS]
            low, median, high = np.array([np.quantile(f, (0.25, 0.5, 0.75)) for f in found]).T
            panel.fill_between(COUNTS, 1 - low, 1 - high, alpha=0.2, linewidth=0)
            panel.plot(COUNTS, 1 - median, label=sampler)
        panel.set(yscale="log", xlabel={"networks": "distinct networks trained"}.get(by, by))
        panel.grid(alpha=0.3)
    axes[0].set(ylabel="share of hypervolume missing")
    axes[1].legend()
    figure.savefig(OUT.with_suffix(".png"), dpi=110)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    complete(sys.argv[1:] or list(VARIATIONS))
    table_of()
    if len(sys.argv) == 1:
        table_of("asks")
        clock()
        plot()


if __name__ == "__main__":
    main()
