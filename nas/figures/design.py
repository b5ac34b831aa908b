"""What a space holds: costs, errors, which block wins where, which parameters matter.

`score` is that of the run, which axes name (`Run.score`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from nas.figures.style import (
    CYCLE,
    INK,
    color_of,
    figure,
    is_wide,
    label_of,
    legend_beside,
    set_metric,
    set_share,
)
from nas.metrics import METRICS
from nas.scores import SCORES, Score

BINS = 16  # edges of a histogram
OUTLINE = (Stroke(linewidth=2.8, foreground="#666666"), Normal())  # for pale colours on white


def plot_costs(table: pd.DataFrame, names: Sequence[str], by: str = "family") -> Figure:
    """Stacked histograms of costs, each panel a metric, by sub-space."""
    made, panels = figure(len(names), width=9.6, height=3.2)
    groups = dict(list(table.groupby(by)))
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        values = [rows[METRICS[name].column].dropna().to_numpy(float) for rows in groups.values()]
        every = np.concatenate(values)
        space = np.geomspace if is_wide(every.tolist()) else np.linspace
        bins = space(every.min(), every.max(), BINS)
        colors = [color_of(str(group), i) for i, group in enumerate(groups)]
        axes.hist(
            values, bins, stacked=True, color=colors, label=list(groups), edgecolor="white", lw=0.4
        )
        set_metric(axes.xaxis, name, every.tolist())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    np.atleast_1d(panels)[0].set_ylabel("networks")
    legend_beside(np.atleast_1d(panels)[-1])
    return made


def plot_error_distribution(
    found: pd.DataFrame, by: str = "family", score: Score = SCORES["alone"]
) -> Figure:
    """The curves of `nas.insight.error_distribution`: those farther left are better sub-spaces."""
    made, axes = figure()
    for i, (name, rows) in enumerate(found.groupby(by)):
        label = f"{name} ({len(rows)})"
        axes.step(rows["error"], rows["share"], where="post", color=color_of(str(name), i),
                  linewidth=1.8, label=label, path_effects=OUTLINE)  # fmt: skip
    alone = score == SCORES["alone"]
    set_share(axes.xaxis, "validation error" if alone else f"100 % less {score.label}")
    set_share(axes.yaxis, "share of the networks with at most this error")
    legend_beside(axes)
    return made


def plot_winners(found: pd.DataFrame) -> Figure:
    """The shares of `nas.insight.winners`, stacked over the budget."""
    made, axes = figure()
    shown = found.loc[:, found.max() > 0.01]
    colors = [color_of(str(name), i) for i, name in enumerate(shown)]
    axes.stackplot(shown.index, shown.T.to_numpy(), labels=list(shown), colors=colors, lw=0)
    axes.set_ylim(0, 1)
    set_metric(axes.xaxis, str(found.index.name), shown.index.tolist())
    axes.set_xlabel(f"budget: {METRICS[str(found.index.name)].label} at most")
    axes.set_xlim(shown.index[0], shown.index[-1])
    set_share(axes.yaxis, "probability of holding the best network")
    legend_beside(axes)
    return made


def plot_importances(
    found: pd.DataFrame, most: int = 12, y: str = "accuracy", score: Score = SCORES["alone"]
) -> Figure:
    """The first rows of `nas.insight.importances` for the metric `y`, a bar an evaluator."""
    shown = found.head(most)[::-1]
    made, axes = figure(height=0.6 + 0.36 * len(shown))
    places, width = np.arange(len(shown)), 0.8 / shown.shape[1]
    for i, name in enumerate(shown):
        offset = (i - (shown.shape[1] - 1) / 2) * width
        axes.barh(places - offset, shown[name], width, color=CYCLE[i], label=name)
    axes.set_yticks(places, shown.index)
    axes.grid(axis="y", visible=False)
    set_share(axes.xaxis, f"importance for {label_of(y, score)}")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return made


def plot_effects(
    found: pd.DataFrame, y: str = "accuracy", score: Score = SCORES["alone"]
) -> Figure:
    """The means of `nas.insight.effects` with their standard errors, a panel a parameter."""
    groups = list(found.groupby("parameter", sort=False))
    made, panels = figure(len(groups), width=2.4 * len(groups), height=3.1)
    error = found["error"].fillna(0.0)  # of a single network none is known
    low, high = (found["mean"] - error).min(), (found["mean"] + error).max()
    for axes, (name, rows) in zip(np.atleast_1d(panels), groups, strict=True):
        places = np.arange(len(rows))
        colors = [
            color_of(str(value)) if str(name).endswith("block") else INK for value in rows["value"]
        ]
        axes.vlines(places, rows["mean"] - rows["error"], rows["mean"] + rows["error"], colors)
        axes.scatter(places, rows["mean"], c=colors, s=36, zorder=3)
        axes.set_xticks(places, rows["value"].astype(str), rotation=35, ha="right", fontsize=8)
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.set_title(str(name), fontsize=9, loc="left")
        set_metric(axes.yaxis, y, score=score)
        axes.label_outer()
    return made
