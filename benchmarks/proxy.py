"""How well cheap evaluations rank networks: `python benchmarks/proxy.py` writes proxy.csv and .png.

Truth is the mean accuracy of three full trainings in NAS-Bench-Macro (Su et al. 2021: 50 epochs of
CIFAR-10 at 32 pixels), read from the folder NAS_TEST_DATA. A figure is Kendall's τ between a score
and the truth, over all networks and over the better half by truth, with the 95 % interval of 1,000
bootstrap samples of the networks. Networks are distinct and random; what has settings chose them on
the part `tune` and is judged on the part `judge`. Seconds are those of one core, by the process's
own time, for a network.

A way of ranking has a file of its own beside this one, proxy_*.py, which writes proxy_*.csv with

    rows = [row("mine", score, networks("judge", 200))]     # score(arch) → float, more is better
    write("mine", rows)

Here are the baselines, and the figure of all: τ against seconds.
"""

from __future__ import annotations

import csv
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from nas.arch import Architecture
from nas.cost import cost
from nas.ranking import agreement, tau
from nas.space import Space
from nas.space_file import load_space

PARTS = {"tune": slice(0, 500), "judge": slice(500, None)}
COUNTS = ("macs", "params", "activations")
OUT = Path(__file__).with_suffix(".csv")
FIELDS = ["way", "score", "part", "networks", "tau", "tau_low", "tau_high"]
KEYS = ("tau", "better")
DRAWN = tuple(f"model of {n} full trainings" for n in (10, 40))  # of many, in the figure
BASELINES = ("counting", "full training")  # ways of ranking that others are measured by
FIELDS += ["better", "better_low", "better_high", "seconds"]


# Networks and their truth ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """A row of the table; `layers` as 01200000, accuracies in percent."""

    layers: str
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.accuracies))

    @property
    def arch(self) -> Architecture:
        """For 32 pixels and 10 classes."""
        return _arch(self.layers)


@cache
def _space() -> Space:
    return load_space("nas_bench_macro").bind(resolution=32, classes=10)


@cache
def _arch(layers: str) -> Architecture:
    choices = zip(_space().parameters.items(), layers, strict=True)
    return _space().architecture({path: p.values[int(c)] for (path, p), c in choices})


@cache
def table() -> tuple[Network, ...]:
    """The distinct networks in a fixed random order."""
    with (Path(os.environ["NAS_TEST_DATA"]) / "nas_bench_macro.csv").open() as file:
        rows = [
            Network(row["arch"], tuple(float(row[f"acc{seed}"]) for seed in (1, 2, 3)))
            for row in csv.DictReader(file)
        ]
    random.Random(0).shuffle(rows)
    return tuple({network.arch.id: network for network in rows}.values())


def networks(part: str, count: int) -> tuple[Network, ...]:
    """The first so many of a part, `tune` or `judge`, which have none in common."""
    return table()[PARTS[part]][:count]


# Figures -----------------------------------------------------------------------------------------


def figures(scores: Sequence[float], accuracies: Sequence[float]) -> dict[str, float]:
    """τ with the true accuracies over all and over the better half, with their intervals."""
    truth, found = np.array(accuracies), np.array(scores, dtype=float)
    best = truth >= np.median(truth)
    whole, better = agreement(found, truth), agreement(found[best], truth[best])
    values = {"tau": whole.tau, "tau_low": whole.low, "tau_high": whole.high}
    values |= {"better": better.tau, "better_low": better.low, "better_high": better.high}
    return {key: round(value, 3) for key, value in values.items()}


def row(
    way: str, score: Callable[[Architecture], float], judged: Sequence[Network], name: str = "score"
) -> dict[str, Any]:
    """A line of the table for any score of an architecture, of which more is better."""
    began = time.process_time()
    scores = [score(network.arch) for network in judged]
    return line(way, name, scores, judged, (time.process_time() - began) / len(judged))


def line(
    way: str, name: str, scores: Sequence[float], judged: Sequence[Network], seconds: float
) -> dict[str, Any]:
    """A line of the table for scores that are known; `seconds` a network."""
    facts = {"way": way, "score": name, "part": part_of(judged), "networks": len(judged)}
    known = figures(scores, [network.accuracy for network in judged])
    return {**facts, **known, "seconds": float(f"{seconds:.2g}")}


def counts(name: str, judged: Sequence[Network]) -> list[int]:
    """A count of each network, one of `COUNTS`."""
    return [getattr(cost(network.arch), name) for network in judged]


def baselines(judged: Sequence[Network]) -> Iterator[dict[str, Any]]:
    """What counting tells, and one seed of the truth against another: the mean of three pairs."""
    for name in COUNTS:
        yield line("counting", name, counts(name, judged), judged, 0.0)
    seeds = np.array([network.accuracies for network in judged]).T
    best = seeds.mean(0) >= np.median(seeds.mean(0))
    pairs = [(tau(a, b), tau(a[best], b[best])) for a, b in combinations(seeds, 2)]
    whole, better = (round(float(mean), 3) for mean in np.mean(pairs, axis=0))
    facts = {"way": "full training", "score": "another seed", "part": part_of(judged)}
    yield {**facts, "networks": len(judged), "tau": whole, "better": better}


def part_of(judged: Sequence[Network]) -> str:
    return next(part for part, places in PARTS.items() if judged[0] in table()[places])


# Files -------------------------------------------------------------------------------------------


def write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the rows of a table, best first, and write them to proxy_NAME.csv."""
    path = OUT.with_stem(f"{OUT.stem}_{name}") if name else OUT
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for r in sorted(rows, key=lambda r: -r["tau"]):
        whole, half = (f"{r.get(k)} [{r.get(f'{k}_low')}, {r.get(f'{k}_high')}]" for k in KEYS)
        print(f"τ {whole}  better half {half}  {r.get('seconds')} s a network")
        print(f"    {r['way']}: {r['score']}, {r['networks']} of {r['part']}")


def read() -> list[dict[str, str]]:
    """The rows of all tables of the part `judge`."""
    found = []
    for path in sorted(OUT.parent.glob(f"{OUT.stem}*.csv")):
        with path.open(newline="") as file:
            found += [r for r in csv.DictReader(file) if r.get("part") == "judge"]
    return found


def plot() -> None:
    """τ against seconds a network; dotted lines take none, on most networks."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharex=True, layout="constrained")
    for panel, key, label in zip(axes, KEYS, ("all networks", "better half"), strict=True):
        series: dict[str, list[dict[str, str]]] = {}
        for r in sorted(read(), key=lambda r: int(r["networks"])):
            if name := _name(r):
                earlier = [] if _is_line(r) else series.get(name, [])
                series[name] = [*earlier, r]
        for name, rows in series.items():
            _draw(panel, key, name, sorted(rows, key=lambda r: float(r["seconds"] or 0)))
        panel.set(xscale="log", xlabel="seconds a network, one core", ylabel=f"τ, {label}")
        panel.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=7, loc="outside lower center", ncols=3)
    figure.savefig(OUT.with_suffix(".png"), dpi=110)


def _name(r: dict[str, str]) -> str | None:
    """What a row is called in the figure, None where its table alone has it."""
    way, score = r["way"], r["score"].partition(", epoch")[0]
    if way in BASELINES:
        return score
    if way.startswith("untrained"):
        return way
    if way.startswith("model"):
        return way if way in DRAWN and score == "prediction" else None
    if way.startswith("shared"):
        return "parts of a shared network, by loss" if score == "loss" else None
    return f"alone, {way}: loss" if score == "averaged loss" else None


def _is_line(r: dict[str, str]) -> bool:
    """What takes no time here: counts, and what rests on full trainings."""
    return not float(r["seconds"] or 0)


def _draw(panel: Axes, key: str, name: str, rows: Sequence[dict[str, str]]) -> None:
    values = [float(r[key]) for r in rows]
    if _is_line(rows[0]):
        panel.axhline(values[0], ls=":", color="#666666")
        panel.annotate(name, (0.01, values[0]), xycoords=("axes fraction", "data"), fontsize=6)
        return
    low, high = ([float(r[f"{key}_{end}"]) for r in rows] for end in ("low", "high"))
    bounds = np.array([np.subtract(values, low), np.subtract(high, values)])
    seconds = [float(r["seconds"]) for r in rows]
    joined = {"ls": "-" if name.startswith("alone") else "", "lw": 1, "elinewidth": 0.6}
    panel.errorbar(seconds, values, bounds, marker="o", ms=3, capsize=2, label=name, **joined)


def main() -> None:
    write("", list(baselines(networks("judge", 1000))))
    plot()


if __name__ == "__main__":
    main()
