"""What all figures share: sizes, colours, axes of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from nas.metrics import METRICS, MILLISECONDS, Metric
from nas.plot import FAMILIES
from nas.scores import SCORES, Score

INK, SOFT, GRID = "#222222", "#777777", 0.25
CYCLE = [FAMILIES[name] for name in ("inverted_residual", "fire", "shuffle_v2", "ghost")]
DPI = 150
LETTERS = 40  # of a line of a label, as many as the lowest figure has room for


def figure(columns: int = 1, *, width: float = 7.2, height: float = 3.9) -> tuple[Figure, Any]:
    """A figure with a row of panels; its axes are an array where there are several."""
    made = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    panels = made.subplots(1, columns)
    for axes in np.atleast_1d(panels):
        axes.grid(alpha=GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return made, panels


def color_of(name: str, place: int = 0) -> str:
    """A block family's colour; of anything else one by its place."""
    return FAMILIES.get(name, CYCLE[place % len(CYCLE)])


def label_of(name: str, score: Score = SCORES["alone"]) -> str:
    """What a metric is called on an axis; where a run ranks by another score, its accuracy is that
    `score`."""
    return score.label if METRICS[name].maximise else METRICS[name].label


def set_metric(
    axis: Axis, name: str, values: Sequence[float] = (), score: Score = SCORES["alone"]
) -> None:
    """Label and ticks of a metric; logarithmic where the values span more than a decade."""
    metric = METRICS[name]
    axis.set_label_text(fill(label_of(name, score), LETTERS))
    if not metric.maximise and is_wide(values):
        axis.axes.set(**{f"{'x' if axis is axis.axes.xaxis else 'y'}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(metric, value)))


def is_wide(values: Sequence[float]) -> bool:
    """Whether positive values span more than a decade."""
    return len(values) > 0 and min(values) > 0 and max(values) > 10 * min(values)


def _tick(metric: Metric, value: float) -> str:
    if metric.maximise:
        return f"{100 * value:g} %"
    return f"{value:g}" if metric.units is MILLISECONDS else metric.format(value)


def set_share(axis: Axis, label: str) -> None:
    """An axis of shares from 0 to 1."""
    axis.set_label_text(fill(label, LETTERS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def legend_beside(axes: Axes) -> None:
    """A legend to the right, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(
        unique.values(),
        unique.keys(),
        fontsize=8,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
