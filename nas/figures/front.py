"""A front with what is known of its points."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nas.figures.style import INK, SOFT, figure, set_metric, set_share
from nas.metrics import METRICS
from nas.scores import SCORES, Score


def plot_chances(
    found: pd.DataFrame, x: str, knee: str | None = None, score: Score = SCORES["alone"]
) -> Figure:
    """Networks of `nas.pick.assess`: the front's with 95 % intervals, all as dark as their chance.

    `knee` is the name of the network to point out, as `nas.pick.pick` finds it, `score` that of the
    run.
    """
    made, axes = figure()
    column = METRICS[x].column
    front = found[found["front"]]
    axes.step(front[column], front["score"], where="post", color=INK, linewidth=1.1, zorder=2)
    axes.errorbar(front[column], front["score"], yerr=_bars(front, "score", "score"),
                  xerr=_bars(front, column, "latency") if x == "latency" else None,
                  fmt="none", ecolor=SOFT, elinewidth=0.9, capsize=2, zorder=2)  # fmt: skip
    shades = {"cmap": "cividis_r", "vmin": 0, "vmax": 1, "edgecolors": INK, "linewidths": 0.5}
    dots = axes.scatter(
        found[column], found["score"], c=found["on_front"], s=42, zorder=3, **shades
    )
    for _, row in found[found["network"] == knee].iterrows():
        place = (row[column], row["score"])
        arrow = {"arrowstyle": "-", "color": SOFT, "shrinkB": 5}
        axes.annotate("knee", place, (-34, 16), textcoords="offset points", arrowprops=arrow)
    bar = made.colorbar(dots, ax=axes, shrink=0.8)
    set_share(bar.ax.yaxis, "probability of being truly on the front")
    set_metric(axes.xaxis, x, found[column].tolist())
    set_metric(axes.yaxis, "accuracy", score=score)
    return made


def _bars(rows: pd.DataFrame, column: str, bounds: str) -> np.ndarray:
    """Distances to the bounds, below and above."""
    below, above = rows[column] - rows[f"{bounds}_low"], rows[f"{bounds}_high"] - rows[column]
    return np.array([below, above])
