"""What a report shows, as plain data: runs, points, and what to trust.

    {title, made, metrics, colors, notes, runs: [{path, notes, …}], points: [{run, number, …}]}

`points` are the complete trials and the published networks beside them, `run` an index of `runs`.
Values, and the bounds of their 95 % intervals, are by the names of metrics.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from nas.analysis.stages import count_stages
from nas.arch import Architecture
from nas.certainty import with_intervals
from nas.errors import InputError
from nas.metrics import BYTES, METRICS, MILLISECONDS, SCORE, Metric
from nas.pick import assess, candidates, check_comparable
from nas.plot import FAMILIES
from nas.records import in_use, own
from nas.report.notes import notes
from nas.run import Run
from nas.scores import Score, side_by_side

ROOM = 4.5e6  # bytes of all points; with the plotting library the page stays under 6 MB
BESIDE = Metric("counted", "accuracy", METRICS["accuracy"].label, maximise=True)
BOUNDED = {"accuracy": SCORE, "counted": "accuracy", "latency": "latency"}  # columns …_low, …_high


def report_data(runs: Sequence[Run]) -> dict[str, Any]:
    """The data of a report; raises InputError where a run has no finished trial."""
    score = side_by_side(run.score for run in runs)
    shown = _metrics(score)
    points = [point for i, run in enumerate(runs) for point in _points(run, i, shown)]
    _describe(points)
    return {
        "title": ", ".join(run.path.name for run in runs),
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "metrics": [
            _metric(metric, score)
            for metric in shown
            if any(metric.name in point["values"] for point in points)
        ],
        "colors": FAMILIES,
        "notes": _differences(runs),
        "runs": [_run(run) for run in runs],
        "points": points,
    }


def _differences(runs: Sequence[Run]) -> list[str]:
    """Why the runs must not be read side by side, if so."""
    try:
        check_comparable(runs, runs[0].cost)
    except InputError as error:
        return [f"Not to be compared: {error}."]
    return []


def _metrics(score: Score) -> list[Metric]:
    """What is shown: accuracies stand beside a score that is none."""
    accuracy, *costs = METRICS.values()
    return [replace(accuracy, label=score.label), *[BESIDE] * score.beside, *costs]


def _metric(metric: Metric, score: Score) -> dict[str, Any]:
    kinds = {id(MILLISECONDS): "ms", id(BYTES): "bytes"}
    word = {"accuracy": score.word, BESIDE.name: "accuracy"}.get(metric.name, metric.name)
    kind = "share" if metric.maximise else kinds.get(id(metric.units), "count")
    return {"name": metric.name, "word": word, "label": metric.label, "kind": kind}


# Runs --------------------------------------------------------------------------------------------


def _run(run: Run) -> dict[str, Any]:
    settings = run.info["settings"]
    return {
        "path": str(run.path),
        "space": run.info["space"],
        "data": settings["data"],
        "budget": list(settings["budget"]),
        "cost": run.cost,
        "progress": progress(run),
        "notes": notes(run),
    }


def progress(run: Run) -> str:
    """How far a run has come, in words."""
    done, asked = len(own(run.records)), run.info["settings"]["trials"]
    if in_use(run.path):
        return f"still going: {done} of {asked} trials so far"
    return f"{done} trials" if done >= asked else f"ended after {done} of {asked} trials"


# Points ------------------------------------------------------------------------------------------


def _points(run: Run, index: int, shown: Sequence[Metric]) -> Iterator[dict[str, Any]]:
    found = candidates([run])
    if found.empty:
        raise InputError(f"{run.path}: no finished trial to report yet")
    known = assess(found, run.budget, run.cost).set_index("id")
    front, chances = set(known.index[known["front"]]), known["on_front"]
    longer = {t.number: t.result.score for t in run.confirmed if t.result}
    for _, row in found.iterrows():
        yield _point(row, index, row["network"], shown) | {
            "number": int(row["number"]),
            "shell": shlex.quote(row["network"]),
            "front": row["id"] in front,
            "chance": _number(chances.get(row["id"], math.nan)),
            "over": bool(row["over_budget"]),
            "confirmed": _number(longer.get(row["number"], math.nan)),
        }
    for _, row in with_intervals(run.baselines).iterrows():
        yield _point(row, index, str(row["name"]), shown) | {"published": True}


def _point(row: pd.Series, run: int, name: str, shown: Sequence[Metric]) -> dict[str, Any]:
    values = {metric.name: _number(row[metric.column]) for metric in shown}
    bounds = {
        metric: [_number(row[f"{column}_low"]), _number(row[f"{column}_high"])]
        for metric, column in BOUNDED.items()
        if metric in values
    }
    return {
        "run": run,
        "name": name,
        "family": "other" if pd.isna(row["family"]) else row["family"],
        "values": {key: value for key, value in values.items() if value is not None},
        "bounds": {key: pair for key, pair in bounds.items() if None not in pair},
        "architecture": row["architecture"],
    }


def _number(value: float) -> float | None:
    """Six digits, which are more than are known; None where nothing is."""
    return None if pd.isna(value) else float(f"{value:.6g}")


def _describe(points: list[dict[str, Any]]) -> None:
    """Put what the page shows of architectures in their place, as long as there is room.

    Those of fronts come first, then the others by falling score.
    """
    architectures = [point.pop("architecture") for point in points]
    room = ROOM - sum(map(_size, points))
    pairs = zip(points, architectures, strict=True)
    for point, architecture in sorted(pairs, key=lambda pair: _rank(pair[0])):
        if architecture is None:
            continue
        found = _description(architecture)
        room -= _size(found)
        if room < 0:
            return
        point.update(found)


def _rank(point: dict[str, Any]) -> tuple[bool, float]:
    return not point.get("front"), -point["values"].get("accuracy", 0.0)


def _size(data: Any) -> int:
    return len(json.dumps(data))


def _description(architecture: Architecture) -> dict[str, Any]:
    return {
        "yaml": architecture.to_yaml(),
        "input": list(architecture.input),
        "stages": [stage.to_dict() for stage in count_stages(architecture)],
    }
