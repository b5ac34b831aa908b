"""Figures of what `nas.insight` and `nas.certainty` find; each draws a table and computes nothing.

All are generic over metrics and block families, in colours that colour-blind people can tell apart.
"""

from nas.figures.design import (
    plot_costs,
    plot_effects,
    plot_error_distribution,
    plot_importances,
    plot_winners,
)
from nas.figures.front import plot_chances
from nas.figures.latency import plot_against_latency, plot_estimates
from nas.figures.search import plot_agreement, plot_epochs, plot_volumes

__all__ = [
    "plot_against_latency",
    "plot_agreement",
    "plot_chances",
    "plot_costs",
    "plot_effects",
    "plot_epochs",
    "plot_error_distribution",
    "plot_estimates",
    "plot_importances",
    "plot_volumes",
    "plot_winners",
]
