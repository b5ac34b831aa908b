"""Does a search pay? `python benchmarks/payoff.py` searches, trains and draws; it can be stopped.

CIFAR-10, the 10,000 + 2,000 images in the folder NAS_TEST_DATA. A search of at most 45 minutes for
the front of accuracy and latency at 32 pixels, with the longer trainings of its best; two of these;
and of each published family, in its form for CIFAR, the largest members by its own width multiplier
that are as fast as those two, or its fastest where none is. All of them have at most 15 M MACs and
a stem of stride 1 (SqueezeNet has no multiplier: squeezenet1_1 as it is, whatever its MACs). Then
all are trained by one recipe, on several seeds. Two trainings run at once, of a thread each.

results/payoff/            the search
payoff_networks.csv        what is trained: latencies in the search's unit
payoff.csv                 a line a training, appended when it has ended: test accuracy
payoff_<id>.yaml           the two that were found
payoff.png                 mean test accuracy of the seeds against latency; bars are 1.96 standard
                           errors: by the test images, or of the seeds where that is more

A training that diverged has a line without an accuracy. A step whose file is there is not done
again, and a search that was interrupted counts as far as it came; delete the file to repeat a step.
`--tiny DIR` tries all steps in DIR, with a search of two trials and trainings of one epoch.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

import nas
from nas.cost import cost
from nas.errors import InputError
from nas.executors.execution import Execution
from nas.latency import measure
from nas.networks import find_network
from nas.recipe import FullRecipe, Recipe
from nas.records import append_line
from nas.training import Diverged
from nas.training.start import resume
from nas.training.trained import INFO

HERE = Path(__file__).parent
SIDE, CLASSES = 32, 10
MOST_MACS = 15e6
SLACK = 1.02  # of a latency, which is known to a per cent or two
WIDTHS = [round(0.1 + 0.05 * n, 2) for n in range(39)]  # multipliers that are tried: 0.1 … 2
FAMILIES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")
FAMILIES += ("shufflenet_v1_g3", "shufflenet_v2", "ghostnet")
FIXED = "squeezenet1_1_cifar"
FIELDS = ("network", "family", "source", "macs", "params", "latency_ms", "low", "high")


@dataclass(frozen=True)
class Setting:
    """How much is done; `out` holds the tables and the picture, `work` searches and trainings."""

    out: Path
    work: Path
    search: dict[str, Any]
    recipe: FullRecipe
    families: tuple[str, ...] = FAMILIES
    seeds: tuple[int, ...] = (0, 1)
    precision: float = 0.01

    @property
    def data(self) -> str:
        return str(Path(os.environ["NAS_TEST_DATA"]).absolute() / "cifar10_10k2k.npz")


FULL = Setting(
    out=HERE,
    work=HERE.parent,
    search={
        "space": str(HERE / "payoff_space.yaml"),
        "budget": ("15M-flops", "0.5ms-latency"),
        "recipe": Recipe(5, batch=64, subset=8000, proxy_resolution=16, learning_rate=0.05),
        "rungs": (1, 2, 3),
        "trials": 1000,
        "time": 22 * 60.0,  # and about a quarter of an hour for what comes before and after
        "confirm": 6,
        "execution": Execution(workers=2),
    },
    recipe=FullRecipe(epochs=10, policy=False, mixed=0.25, threads=1),
)


def tiny(folder: Path) -> Setting:
    """All steps in a minute or two, of no meaning."""
    search = {"space": "tiny", "trials": 2, "recipe": Recipe(epochs=1, subset=100)}
    recipe = FullRecipe(epochs=1, batch=512)
    return Setting(folder, folder, search, recipe, ("shufflenet_v2",), (0,), precision=0.2)


# The search and what is taken from it ------------------------------------------------------------


def searched(setting: Setting) -> nas.Run:
    """The run, which is begun, gone on with, or read."""
    folder = Path("results/payoff")
    if not (folder / "run.json").exists():
        return nas.search(**setting.search, data=setting.data, resolution=SIDE, out=folder)
    run = nas.load(folder)
    if (folder / "front.csv").exists():
        return run
    return nas.resume(run.path, execution=setting.search.get("execution"))


def picks(run: nas.Run) -> pd.DataFrame:
    """The most accurate network, and the most accurate of at most half its latency.

    By the longer trainings where there are some, of the front else.
    """
    longer = {trial.number: trial.result.accuracy for trial in run.confirmed if trial.result}
    found = run.trials[run.trials["number"].isin([*run.front["number"], *longer])]
    found = found.assign(longer=found["number"].map(longer))
    found = found.sort_values(["longer", "accuracy"], ascending=False, na_position="last")
    best = found.iloc[[0]]
    half = found[found["latency_ms"] <= best["latency_ms"].iloc[0] / 2]
    return pd.concat([best, half.iloc[:1] if len(half) else found.iloc[-1:]]).drop_duplicates("id")


# Published networks of the same latency ----------------------------------------------------------


def largest(family: str, latency: float, time: Callable[[str], float]) -> str | None:
    """The family's member of most MACs, at most 15 M, within a latency; its fastest where none is.

    Latency does not always grow with the width: all are timed. None where all have more MACs.
    """
    names = [f"{family}_x{str(w).replace('.', '_')}_cifar" for w in WIDTHS]
    sizes = {name: macs for name in names if (macs := macs_of(name)) and macs <= MOST_MACS}
    fast = [name for name in sizes if time(name) <= SLACK * latency]
    if not fast:
        return min(sizes, key=time, default=None)
    return max(fast, key=sizes.__getitem__)


def macs_of(name: str) -> int | None:
    """None where the family's rule does not allow that width."""
    try:
        return cost(find_network(name, SIDE, CLASSES).graph).macs
    except InputError:
        return None


def networks(setting: Setting, run: nas.Run) -> Iterator[dict[str, Any]]:
    """What is trained, timed once more in the search's unit."""
    unit = run.info["reference_ms"]
    time = partial(measure, reference_ms=unit, precision=setting.precision, seconds=6.0)

    @cache
    def time_of(name: str) -> float:
        return time(find_network(name, SIDE, CLASSES).graph).latency_ms

    sources = {}
    for row in picks(run).itertuples():
        file = setting.out / f"payoff_{row.id}.yaml"
        file.write_text(row.architecture.to_yaml())
        sources[os.path.relpath(file)] = ("found", "front")
        for family in setting.families:
            if other := largest(family, row.latency_ms, time_of):
                sources.setdefault(other, (family, f"for {row.id}"))
    sources[FIXED] = ("squeezenet", "as it is")
    for name, (family, source) in sources.items():
        graph = find_network(name, SIDE, None if family == "found" else CLASSES).graph
        timed, counted = time(graph), cost(graph)
        values = (name, family, source, counted.macs, counted.params)
        yield dict(zip(FIELDS, (*values, timed.latency_ms, timed.low, timed.high), strict=True))


# Trainings ---------------------------------------------------------------------------------------


def trained(setting: Setting, network: str, seed: int) -> dict[str, Any]:
    """The result of a training, which is begun, gone on with, or read."""
    folder = Path("trained/payoff") / f"{Path(network).name.replace(':', '-')}-{seed}"
    if (folder / INFO).exists():
        return resume(folder, log).result
    return nas.train(
        network,
        data=setting.data,
        resolution=SIDE,
        recipe=setting.recipe,
        seed=seed,
        out=folder,
        say=log,
    ).result


def train_all(setting: Setting, table: pd.DataFrame) -> None:
    """A line of payoff.csv a training; seed by seed, so that all have one before any has two."""
    path = setting.out / "payoff.csv"
    done = set()
    if path.exists():
        with path.open() as file:
            done = {(row["network"], int(row["seed"])) for row in csv.DictReader(file)}
    keys = ("test_accuracy", "test_error", "test_size", "validation_accuracy", "weights")
    keys += ("epochs", "seconds")
    if not path.exists():
        append_line(path, ",".join(("network", "seed", *keys)))
    todo = [(network, seed) for seed in setting.seeds for network in table["network"]]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = {pool.submit(trained, setting, *each): each for each in todo if each not in done}
        for job in as_completed(jobs):
            network, seed = jobs[job]
            try:
                result = job.result()
            except Diverged as error:  # a network without batch norm may; its line says so
                log(f"{network}, seed {seed}: {error}")
                result = dict.fromkeys(keys, "")
            values = (network, seed, *(result[key] for key in keys))
            append_line(path, ",".join(map(str, values)))


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# The picture -------------------------------------------------------------------------------------


def summary(setting: Setting) -> pd.DataFrame:
    """A row a network: mean test accuracy over the seeds, and 1.96 of its standard errors."""
    results = pd.read_csv(setting.out / "payoff.csv")
    groups = results.groupby("network")["test_accuracy"]
    images = results.groupby("network")["test_error"].mean()
    seeds = (groups.std() / groups.count() ** 0.5).fillna(0.0)
    half = 1.96 * pd.concat([images, seeds], axis=1).max(axis=1)
    found = pd.DataFrame({"accuracy": groups.mean(), "half": half, "seeds": groups.count()})
    return pd.read_csv(setting.out / "payoff_networks.csv").merge(found, on="network")


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained", dpi=160)
    for family, rows in table.sort_values("latency_ms").groupby("family"):
        found = family == "found"
        color = "#D55E00" if found else "#44546A"
        axes.errorbar(
            rows["latency_ms"],
            rows["accuracy"],
            yerr=rows["half"],
            color=color,
            marker="o" if found else "s",
            markersize=6 if found else 4,
            linewidth=1.6 if found else 0.8,
            capsize=2,
        )
    lowest = max(0.0, min(table["accuracy"]) - 0.1)
    for n, row in enumerate(table.sort_values("latency_ms").itertuples()):
        above = n % 2 == 0 or row.accuracy - row.half < lowest  # in turn, beside each other
        at = row.accuracy + (row.half if above else -row.half)
        axes.annotate(
            "found" if row.family == "found" else row.network.removesuffix("_cifar"),
            (row.latency_ms, at),
            (0, 3 if above else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=6.5,
        )
    axes.margins(x=0.12, y=0.1)
    axes.set_ylim(lowest, None)
    axes.set_xlabel("latency of ONNX Runtime on one thread (ms)")
    axes.set_ylabel("test accuracy, CIFAR-10")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.grid(alpha=0.25)
    figure.savefig(path)


def main(setting: Setting) -> None:
    os.chdir(setting.work)
    path = setting.out / "payoff_networks.csv"
    if not path.exists():
        pd.DataFrame(networks(setting, searched(setting))).to_csv(path, index=False)
    train_all(setting, pd.read_csv(path))
    table = summary(setting)
    draw(table, setting.out / "payoff.png")
    print(table.to_string(index=False))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--tiny"]:
        folder = Path(sys.argv[2]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        main(tiny(folder))
    else:
        main(FULL)
