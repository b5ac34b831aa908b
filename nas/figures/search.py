"""How a search went."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from nas.figures.style import CYCLE, INK, figure
from nas.plot import DOLLAR
from nas.records import COMPLETE

DASHES = ("-", "--", ":", "-.")


def plot_volumes(found: pd.DataFrame) -> Figure:
    """Hypervolume over trials, a line a run of `nas.insight.volumes`."""
    made, axes = figure()
    for i, name in enumerate(found):
        style = {"color": CYCLE[i % len(CYCLE)], "linestyle": DASHES[i % len(DASHES)]}
        axes.step(
            found.index,
            found[name],
            where="post",
            linewidth=1.8,
            label=str(name).translate(DOLLAR),
            **style,
        )
    axes.set_xlabel("trials")
    axes.set_ylabel("hypervolume")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    return made


def plot_epochs(found: pd.DataFrame) -> Figure:
    """Epochs that each trial is trained for (`nas.insight.replay_rungs`); hollow: stopped."""
    made, axes = figure(height=3.2)
    for state, rows in found.groupby("state"):
        whole = state == COMPLETE
        axes.bar(rows["number"], rows["epochs"], width=0.8, label=str(state), edgecolor=INK,
                 color=CYCLE[0] if whole else "white", linewidth=0.6)  # fmt: skip
    axes.set_xlabel("trial")
    axes.set_ylabel("epochs trained")
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return made


def plot_agreement(found: pd.DataFrame) -> Figure:
    """`nas.insight.agreement`: how early the training losses rank the networks as the end does."""
    made, axes = figure(height=3.4)
    axes.fill_between(found.index, found["low"], found["high"], color=CYCLE[0], alpha=0.2, lw=0)
    axes.plot(found.index, found["tau"], color=CYCLE[0], marker="o", linewidth=1.8)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks(found.index)
    axes.set_ylim(min(-0.05, found["low"].min()), 1)
    axes.set_xlabel("epochs trained")
    axes.set_ylabel("Kendall's τ with the final accuracy")
    return made
