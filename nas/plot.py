"""Figures of fronts. What is drawn is computed by `nas.run`; here is only ink."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from nas.metrics import METRICS, SCORE, Metric
from nas.records import COMPLETE
from nas.run import front
from nas.scores import side_by_side

if TYPE_CHECKING:
    from nas.run import Run

DOLLAR = str.maketrans({"$": r"\$"})  # for texts with names in them: matplotlib reads formulas
# Okabe and Ito's colours, which colour-blind people can tell apart, and a grey.
FAMILIES = {
    "conv": "#999999",
    "depthwise_separable": "#E69F00",
    "inverted_residual": "#0072B2",
    "shuffle_v1": "#F0E442",
    "shuffle_v2": "#009E73",
    "fire": "#D55E00",
    "ghost": "#CC79A7",
    "inception": "#56B4E9",
}
OTHER = "#000000"


def plot_front(
    runs: Sequence[Run], x: str = "latency", y: str = "accuracy", *, title: str | None = None
) -> Figure:
    """Trials, front and baselines of one or more runs; bars are one standard error.

    Points of the front that cannot be told from a cheaper one are hollow.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained", dpi=160)
    axes = figure.subplots()
    horizontal, vertical = METRICS[x], METRICS[y]
    for i, run in enumerate(runs):
        done = run.trials[run.trials["state"] == COMPLETE]
        _draw_trials(axes, done, horizontal.column, vertical.column)
        label = "front" if len(runs) == 1 else f"front of {run.path.name}".translate(DOLLAR)
        _draw_front(axes, front(run.trials, (y, x)), horizontal.column, vertical.column, label, i)
        _draw_baselines(axes, run.baselines, horizontal.column, vertical.column)
    axes.set_xlabel(horizontal.label)
    score = side_by_side(run.score for run in runs)
    axes.set_ylabel(score.label if y == "accuracy" else vertical.label)
    for axis, metric in ((axes.xaxis, horizontal), (axes.yaxis, vertical)):
        if metric.maximise:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        elif metric.name != "latency":
            axis.set_major_formatter(FuncFormatter(lambda value, _, m=metric: m.format(value)))
    _spread(axes, runs, horizontal)
    if runs:
        _focus(axes, runs, vertical.column)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    title = _title(runs) if title is None else title
    axes.set_title(title.translate(DOLLAR), fontsize=10, loc="left")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        axes.legend(
            unique.values(),
            unique.keys(),
            fontsize=7,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
    return figure


def save_front(runs: Sequence[Run], path: str | Path, x: str = "", y: str = "accuracy") -> None:
    """Draw the front of the runs' first cost into a file."""
    plot_front(runs, x or runs[0].cost, y).savefig(path)


def _title(runs: Sequence[Run]) -> str:
    if not runs:
        return ""
    settings = runs[0].info["settings"]
    budget = ", ".join(settings["budget"])
    return f"{runs[0].info['space']} on {settings['data']}" + (f", {budget}" if budget else "")


def _draw_trials(axes: Axes, done: pd.DataFrame, x: str, y: str) -> None:
    if done.empty:
        return
    for name, part in done.groupby("family"):
        axes.scatter(
            part[x],
            part[y],
            s=18,
            alpha=0.75,
            linewidths=0.4,
            edgecolors="#333333",
            color=FAMILIES.get(str(name), OTHER),
            label=str(name),
            zorder=2,
        )


def _draw_front(axes: Axes, found: pd.DataFrame, x: str, y: str, label: str, index: int) -> None:
    if found.empty:
        return
    style = ("-", "--", ":", "-.")[index % 4]
    axes.step(
        found[x],
        found[y],
        where="post",
        color="#222222",
        linewidth=1.2,
        linestyle=style,
        label=label,
        zorder=3,
    )
    if y == SCORE:
        axes.errorbar(
            found[x],
            found[y],
            yerr=found["score_error"],
            fmt="none",
            ecolor="#222222",
            elinewidth=0.8,
            capsize=2,
            zorder=3,
        )
    for tie, part in found.groupby("tie"):
        axes.scatter(
            part[x],
            part[y],
            s=52,
            linewidths=1.2,
            edgecolors="#222222",
            facecolors="none",
            marker="o",
            zorder=4,
            label="not told from a cheaper one" if tie else None,
            linestyle=":" if tie else "-",
        )


def _draw_baselines(axes: Axes, baselines: pd.DataFrame, x: str, y: str) -> None:
    known = baselines[baselines[y].notna()]
    if known.empty:
        return
    axes.scatter(known[x], known[y], marker="*", s=70, color="#222222", label="published", zorder=5)
    for row in known.itertuples():
        axes.annotate(
            str(row.name),
            (getattr(row, x), getattr(row, y)),
            fontsize=6.5,
            xytext=(4, -8),
            textcoords="offset points",
        )


def _spread(axes: Axes, runs: Sequence[Run], metric: Metric) -> None:
    """A logarithmic cost where the costs differ by more than a decade."""
    costs = pd.concat([run.trials[metric.column] for run in runs]).dropna() if runs else []
    if metric.maximise or not len(costs) or not min(costs) > 0 or max(costs) < 10 * min(costs):
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    latency = metric.name == "latency"
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if latency else metric.format(value))
    )


def _focus(axes: Axes, runs: Sequence[Run], y: str) -> None:
    """Leave out failures to learn: the front would be a flat line above a crowd at chance."""
    values = pd.concat([run.trials[y] for run in runs]).dropna()
    if y != SCORE or len(values) < 5:
        return
    low, high = float(values.quantile(0.2)), float(values.max())
    spread = max(high - low, 0.02)
    axes.set_ylim(max(0.0, low - 0.15 * spread), min(1.0, high + 0.2 * spread + 0.005))
