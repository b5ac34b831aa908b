"""The picture of a full training: losses and accuracies, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from nas.plot import DOLLAR

# Okabe and Ito's colours, which colour-blind people can tell apart
STYLES = {
    "train_loss": ("training", "#999999"),
    "validation_loss": ("validation", "#0072B2"),
    "average_loss": ("validation, averaged weights", "#D55E00"),
    "validation_accuracy": ("weights", "#0072B2"),
    "average_accuracy": ("averaged weights", "#D55E00"),
}
LOSSES = ("train_loss", "validation_loss", "average_loss")
ACCURACIES = ("validation_accuracy", "average_accuracy")


def save_curves(metrics: pd.DataFrame, title: str, path: Path) -> None:
    """Draw the table of metrics.csv into a file."""
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    _draw(left, metrics, LOSSES, "cross-entropy")
    _draw(right, metrics, ACCURACIES, "validation accuracy")
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    figure.suptitle(title.translate(DOLLAR), fontsize=10, x=0.008, ha="left")
    figure.savefig(path)


def _draw(axes: Axes, metrics: pd.DataFrame, columns: tuple[str, ...], label: str) -> None:
    marker = "o" if len(metrics) < 3 else None  # a line of one point is no line
    for column in columns:
        name, color = STYLES[column]
        axes.plot(metrics["epoch"], metrics[column], color=color, label=name, marker=marker)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
