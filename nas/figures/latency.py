"""Latency against counts, and as estimated against as measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.figures.style import INK, SOFT, color_of, figure, legend_beside, set_metric
from nas.metrics import METRICS
from nas.ranking import tau


def plot_against_latency(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Measured latency over counts, a panel a count, with Kendall's τ of the two orders."""
    made, panels = figure(len(names), width=9.6, height=3.7)
    timed = table.dropna(subset=["latency_ms"])
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        column = METRICS[name].column
        _scatter(axes, timed, column, "latency_ms")
        set_metric(axes.xaxis, name, timed[column].tolist())
        set_metric(axes.yaxis, "latency", timed["latency_ms"].tolist())
        order = tau(timed[column].tolist(), timed["latency_ms"].tolist())
        axes.set_title(f"τ = {order:.2f}", fontsize=10)
        axes.label_outer()
    legend_beside(np.atleast_1d(panels)[-1])
    return made


def plot_estimates(found: pd.DataFrame) -> Figure:
    """The rows of `nas.insight.estimates`: estimated latency over measured, with both intervals."""
    made, axes = figure(width=6.2, height=4.3)
    measured, estimate = found["latency_ms"], found["estimate"]
    bars = {"fmt": "none", "ecolor": SOFT, "elinewidth": 0.7, "alpha": 0.7, "zorder": 1}
    axes.errorbar(measured, estimate, **bars, yerr=_distances(found, "estimate", "estimate"),
                  xerr=_distances(found, "latency_ms", "latency"))  # fmt: skip
    _scatter(axes, found, "latency_ms", "estimate")
    ends = [min(measured.min(), estimate.min()), max(measured.max(), estimate.max())]
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle="--", zorder=2)
    set_metric(axes.xaxis, "latency", measured.tolist())
    set_metric(axes.yaxis, "latency", estimate.tolist())
    axes.set_xlabel("measured latency (ms)")
    axes.set_ylabel("estimated latency (ms)")
    legend_beside(axes)
    return made


def _scatter(axes: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    for i, (name, rows) in enumerate(table.groupby("family")):
        axes.scatter(rows[x], rows[y], s=26, color=color_of(str(name), i), label=str(name),
                     edgecolors=INK, linewidths=0.4, zorder=3)  # fmt: skip


def _distances(rows: pd.DataFrame, column: str, bounds: str) -> np.ndarray:
    below, above = rows[column] - rows[f"{bounds}_low"], rows[f"{bounds}_high"] - rows[column]
    return np.array([below, above]).clip(min=0.0)
