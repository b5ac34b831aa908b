"""What the verbs print: the data first, as plain dictionaries, then its tables."""

from __future__ import annotations

import contextlib
import random
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from nas import reference
from nas.budget import Budget
from nas.certainty import percent
from nas.cost import Cost, cost
from nas.errors import InputError
from nas.graph import Graph
from nas.metrics import COUNTED, METRICS, SCORE, plural
from nas.networks import Network
from nas.scores import SCORES, Score
from nas.space import Space

if TYPE_CHECKING:
    from nas.latency import Latency
    from nas.pick import Pick

SAMPLE = 500  # architectures that a space's median is taken from


def print_table(table: Table) -> None:
    plain = partial(Console, highlight=False, markup=False, emoji=False)  # names may be [/anything]
    console = plain()
    if not console.is_terminal:  # a file or a pipe has no width
        console = plain(width=160)
    console.print(table)


def make_table(title: str, *columns: str, text: int = 1) -> Table:
    """A table whose first `text` columns are text, the others numbers."""
    table = Table(title=title or None, title_justify="left", box=None, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < text else "right", overflow="fold")
    return table


# nas profile -------------------------------------------------------------------------------------


def profile(
    networks: Sequence[Network],
    *,
    backends: Sequence[str] = (),
    threads: int = 1,
    layers: bool = False,
    compare: bool = False,
    guidelines: bool = False,
    roofline: bool = False,
) -> list[dict[str, Any]]:
    """Counts of each network, what else is asked for, and its latency by each of `backends`.

    See docs/cost.md and docs/latency.md.
    """
    from nas import analysis

    timers = _timers(backends, threads)
    found = []
    for network in networks:
        graph = network.graph
        row = _counts(network.name, network.resolution, cost(graph))
        if timers:
            timed = {name: timer(graph).to_dict() for name, timer in timers.items()}
            row |= {"latency_ms": timed[backends[0]]["latency_ms"], "latency": timed}
        if layers or compare:
            row |= analysis.totals(graph)
        if layers:
            row["layers"] = [layer.to_dict() for layer in analysis.count_layers(graph)]
        if guidelines:
            row["guidelines"] = [rule.to_dict() for rule in analysis.guidelines(graph)]
        if roofline:
            row["roofline"] = analysis.roofline(graph).to_dict()
        found.append(row)
    return found


def _timers(backends: Sequence[str], threads: int) -> dict[str, Callable[[Graph], Latency]]:
    """What measures with each back end, in the unit of its reference as it is now."""
    from nas.latency import calibrate, measure
    from nas.latency.backends import find_backend

    for name in backends:  # before the first one takes its time
        find_backend(name)
    units = {name: calibrate(backend=name, threads=threads) for name in backends}
    return {
        name: partial(measure, backend=name, threads=threads, reference_ms=unit)
        for name, unit in units.items()
    }


def _counts(name: str, resolution: int, counted: Cost) -> dict[str, Any]:
    return {
        "name": name,
        "resolution": resolution,
        "params": counted.params,
        "macs": counted.macs,
        "activations": counted.activations,
        "memory_bytes": counted.memory,
    }


def print_networks(rows: Sequence[dict[str, Any]]) -> None:
    table = make_table("", "network", "pixels", "params", "macs", "activations", "memory")
    for row in rows:
        cells = [f"{row[key]:,}" for key in ("params", "macs", "activations")]
        cells.append(METRICS["memory"].format(row["memory_bytes"]))
        table.add_row(row["name"], str(row["resolution"]), *cells)
    print_table(table)
    if "latency" in rows[0]:
        print_latencies(rows)


def print_latencies(rows: Sequence[dict[str, Any]]) -> None:
    """The networks' latencies, a column a back end, each with half its 95 % interval."""
    found = [list(row["latency"].values()) for row in rows]
    threads = found[0][0]["threads"]
    title = f"Latency of one image, {plural(threads, 'thread')}"
    table = make_table(title, "network", *rows[0]["latency"])
    for row, latencies in zip(rows, found, strict=True):
        table.add_row(row["name"], *map(_latency_cell, latencies))
    print_table(table)
    if any(latency["noisy"] for latencies in found for latency in latencies):
        print("noisy: the machine was busy or unsteady; measure again when it is quiet")


def _latency_cell(latency: dict[str, Any]) -> str:
    point = latency["latency_ms"]
    half = (latency["high"] - latency["low"]) / 2 / point
    mark = " noisy" if latency["noisy"] else ""
    return f"{METRICS['latency'].format(point)} ± {100 * half:.1f} %{mark}"


def published_rows() -> list[dict[str, Any]]:
    """The published networks with paper, counts at their own resolution, and accuracy."""
    rows = []
    for name in reference.names():
        network = reference.published(name)
        row = _counts(name, network.resolution, cost(network.graph()))
        rows.append(row | {"paper": network.paper, "top1": network.top1})
    return rows


def print_published(rows: Sequence[dict[str, Any]]) -> None:
    table = make_table("", "network", "paper", "pixels", "params", "macs", "ImageNet top-1", text=2)
    for row in rows:
        top1 = "" if row["top1"] is None else f"{row['top1']} %"
        counts = (f"{row['params']:,}", f"{row['macs']:,}")
        table.add_row(row["name"], row["paper"], str(row["resolution"]), *counts, top1)
    print_table(table)


# nas spaces --------------------------------------------------------------------------------------


def overview(space: Space, budget: Budget, seed: int = 0) -> dict[str, Any]:
    """Size of a space, and the median of each cost over a random sample of its architectures."""
    costs = _sample(space, seed)
    row: dict[str, Any] = {
        "name": space.name,
        "about": space.about,
        "parameters": len(space.parameters),
        "settings": space.size,
        "median": {name: median(getattr(c, name) for c in costs) for name in COUNTED},
    }
    if budget.limits:
        row["within_budget"] = sum(budget.allows(c) for c in costs) / len(costs)
    return row


def look_into(space: Space, budget: Budget, seed: int = 0) -> dict[str, Any]:
    """A space's parameters, and the smallest and largest of each cost by coordinate descent."""
    row = overview(space, budget, seed)
    row["parameters"] = {path: list(p.values) for path, p in space.parameters.items()}
    for kind, sign in (("smallest", 1), ("largest", -1)):
        row[kind] = {}
        for name in COUNTED:
            found = space.minimise(lambda c, n=name, s=sign: s * getattr(c.cost, n), seed=seed)  # type: ignore[misc]
            row[kind][name] = getattr(found.cost, name)
    return row


def _sample(space: Space, seed: int) -> list[Cost]:
    rng = random.Random(seed)
    costs: list[Cost] = []
    for _ in range(SAMPLE):
        with contextlib.suppress(Exception):  # a user's block may raise anything
            costs.append(space.candidate(space.sample(rng)).cost)
    if not costs:
        raise InputError(f"space {space.name}: none of {SAMPLE} architectures can be built")
    return costs


def print_spaces(rows: Sequence[dict[str, Any]]) -> None:
    share = ["within budget"] * ("within_budget" in rows[0])
    table = make_table("", "space", "parameters", "settings", "median macs", *share, "about")
    for row in rows:
        cells = [str(row["parameters"]), f"{row['settings']:.3g}"]
        cells.append(METRICS["macs"].format(row["median"]["macs"]))
        if share:
            cells.append(f"{row['within_budget']:.1%}")
        table.add_row(row["name"], *cells, row["about"])
    table.columns[-1].justify = "left"
    print_table(table)


def print_space(row: dict[str, Any]) -> None:
    print(f"{row['name']}: {row['about']}")
    print(
        f"{len(row['parameters'])} parameters, {row['settings']:.3g} settings, "
        "an upper bound on distinct architectures"
    )
    if "within_budget" in row:
        print(f"{row['within_budget']:.1%} of {SAMPLE} random architectures are within the budget")
    costs = make_table("", "cost", "smallest", "median", "largest")
    for name in COUNTED:
        values = (row[kind][name] for kind in ("smallest", "median", "largest"))
        costs.add_row(METRICS[name].label, *(METRICS[name].format(v) for v in values))
    print_table(costs)
    table = make_table("", "parameter", "values", text=2)
    for path, values in row["parameters"].items():
        shown = ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
        table.add_row(path, shown)
    print_table(table)


# nas front ---------------------------------------------------------------------------------------


def front_rows(found: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a front as plain data, without what is unknown."""
    rows = []
    for record in found.drop(columns=["architecture"]).to_dict("records"):
        known = {str(k): v for k, v in record.items() if not pd.isna(v)}
        known.setdefault("accuracy", None)  # an untrained network has none, and says so
        rows.append(known)
        if arch := found.iloc[len(rows) - 1]["architecture"]:  # None: its block is unknown here
            rows[-1]["architecture"] = arch.to_dict()
    return rows


def print_front(
    found: pd.DataFrame,
    objectives: Sequence[str],
    title: str = "",
    score: Score = SCORES["alone"],
) -> None:
    """A row a network; its chance of truly being on the front where `found` has it.

    `score` is the run's.
    """
    costs = ["latency", "macs", "params"]
    names = [*objectives, *(n for n in costs if n not in objectives)]
    shown = [n for n in names if found[METRICS[n].column].notna().any()]
    counted = [score.word, *["accuracy"] * score.beside]
    columns = [column for n in shown for column in (counted if n == "accuracy" else [n])]
    chance = ["on the front"] * ("on_front" in found)
    table = make_table(title, "trial", "block", *columns, *chance, "", text=2)
    for _, row in found.iterrows():
        cells = [cell for name in shown for cell in _cells(row, name, score)]
        if chance:
            cells.append(percent(row["on_front"]))
        note = "tie with a cheaper one" if row["tie"] else ""
        table.add_row(str(row["number"]), row["family"], *cells, note)
    print_table(table)
    if score.word != "accuracy":
        print(f"score: {score.label}")


def _cells(row: pd.Series, name: str, score: Score) -> Iterator[str]:
    """A metric's value; an accuracy with its error, or beside the score that ranks."""
    error = f" ± {100 * row['score_error']:.2f}" if name == "accuracy" and score.counted else ""
    yield METRICS[name].format(float(row[METRICS[name].column])) + error
    if name == "accuracy" and score.beside:
        yield METRICS[name].format(row["accuracy"])


def print_pick(found: Pick) -> None:
    """The network that was picked, why, how sure, and what to do with it."""
    print(f"{found.network}: {found.row['family']}, {_measured(found)}")
    print(f"Why: {found.why}.")
    print(f"How sure: {found.how_sure}.")
    print(f"{_about(found)}. Train a short list fully before you decide.")
    print(f"Next: nas train {shlex.quote(found.network)}")


def _measured(found: Pick) -> str:
    row, percent = found.row, METRICS["accuracy"].format
    text = f"{found.score.word} {percent(row[SCORE])}"
    if found.score.counted:
        text += f" ({percent(row[f'{SCORE}_low'])} to {percent(row[f'{SCORE}_high'])})"
    return f"{text}, {found.x} {METRICS[found.x].format(row[METRICS[found.x].column])}"


def _about(found: Pick) -> str:
    """What the scores are of, and how sure they are."""
    score, epochs = found.score, int(found.row["epochs"])
    text = f"{score.plural.title()} are of {plural(epochs, 'epoch') if epochs else score.of}"
    if not score.counted:
        return f"{text}, and no accuracies"
    return f"{text}, with 95 % intervals from {_noise(found.row)}"


def _noise(row: pd.Series) -> str:
    images = f"{row['validation_size']:,.0f} validation images"
    return images if row["repeats"] == 1 else f"{images} and {row['repeats']} trainings"
