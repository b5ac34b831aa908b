"""The figure of a roofline: layers under the roof, and what each kind has of MACs and of time.

Its data are those of `nas profile --roofline --json`; here is only ink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import atan, degrees
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from nas.analysis.roofline import LAYOUT
from nas.plot import DOLLAR

Row = Mapping[str, Any]
Side: TypeAlias = Literal["left", "right"]


class Style(NamedTuple):
    """Okabe and Ito's colours, which colour-blind people can tell apart, and a shape each."""

    color: str
    marker: str


STYLES = {
    "standard": Style("#999999", "s"),
    "pointwise": Style("#0072B2", "o"),
    "depthwise": Style("#E69F00", "^"),
    "grouped": Style("#009E73", "D"),
    "linear": Style("#D55E00", "v"),
    "pooling": Style("#56B4E9", "P"),
    "element-wise": Style("#CC79A7", "X"),
    "movement": Style("#000000", "*"),
    "module": Style("#F0E442", "h"),
    LAYOUT: Style("#555555", "."),
}
INK, PALE = "#222222", "#777777"
AREA = 1500.0  # points² of a marker that would have all of the time
LEAST = 12.0  # points² of the smallest marker


def save_roofline(network: Row, path: str | Path) -> None:
    """Draw one network's roofline into a file."""
    plot_roofline(network).savefig(path)


def plot_roofline(network: Row) -> Figure:
    """Two panels of a network as `nas profile --roofline --json` describes it."""
    figure = Figure(figsize=(9.6, 4.3), layout="constrained", dpi=200)
    left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
    found = network["roofline"]
    _draw_points(left, found)
    _draw_shares(right, found["kinds"])
    machine = found["machine"]
    title = (
        f"{network['name']} at {network['resolution']} px: {found['ms']:.2f} ms   "
        f"({machine['cpu']}, one thread, fp32, ONNX Runtime)"
    )
    figure.suptitle(title.translate(DOLLAR), fontsize=10, x=0.008, ha="left")
    return figure


# Layers under the roof ---------------------------------------------------------------------------


def _draw_points(axes: Axes, found: Row) -> None:
    layers = [p for p in found["layers"] if p["macs"] and p["ms"]]
    for kind, style in STYLES.items():
        own = [p for p in layers if p["kind"] == kind]
        if own:
            axes.scatter(
                [p["intensity"] for p in own],
                [p["gflops"] for p in own],
                s=[max(LEAST, AREA * p["share"]) for p in own],
                color=style.color,
                marker=style.marker,
                alpha=0.75,
                edgecolors="white",
                linewidths=0.5,
                zorder=3,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    _frame(axes, layers, found["machine"])
    _draw_roofs(axes, found["machine"])
    _label_axes(axes)
    _draw_legend(axes, layers)


def _frame(axes: Axes, layers: Sequence[Row], machine: Row) -> None:
    """Limits that hold all layers, the ridge and the roof."""
    ridge = machine["peak"] / machine["bandwidth"]
    x = [ridge, *(p["intensity"] for p in layers)]
    y = [machine["peak"], *(p["gflops"] for p in layers)]
    axes.set_xlim(min(x) / 1.8, max(x) * 2.2)
    axes.set_ylim(min(y) / 2.2, max(y) * 2.0)


def _draw_roofs(axes: Axes, machine: Row) -> None:
    x = np.geomspace(*axes.get_xlim(), 400)
    peak = machine["peak"]
    ridge = peak / machine["bandwidth"]
    axes.plot(x, np.minimum(peak, x * machine["cache"]), color=PALE, lw=1, ls=(0, (4, 2)), zorder=1)
    axes.plot(x, np.minimum(peak, x * machine["bandwidth"]), color=INK, lw=1.4, zorder=2)
    axes.axvline(ridge, color=PALE, lw=0.7, ls=":", zorder=1)
    _note(axes, axes.get_xlim()[1] / 1.05, peak * 1.08, f"{peak:.0f} GFLOP/s", ha="right")
    for name, key, color in (("memory", "bandwidth", INK), ("cache", "cache", PALE)):
        _label_slope(axes, f"{name} {machine[key]:.0f} GB/s", machine[key], peak, color)
    top = axes.get_ylim()[1] / 1.15
    _note(axes, ridge / 1.06, top, "bound by memory ◂", ha="right", color=PALE)
    _note(axes, ridge * 1.06, top, "▸ by compute", ha="left", color=PALE)


def _label_slope(axes: Axes, text: str, bandwidth: float, peak: float, color: str) -> None:
    """A roof's name along its slope, where the slope enters the frame or at its middle."""
    low = max(axes.get_xlim()[0], axes.get_ylim()[0] / bandwidth)
    high = peak / bandwidth
    if high <= low * 1.5:  # hardly any slope in sight
        return
    x = low * (high / low) ** 0.3
    axes.text(
        x,
        x * bandwidth * 1.1,
        text,
        color=color,
        fontsize=7.5,
        rotation=degrees(atan(bandwidth)),  # in units of the axes
        rotation_mode="anchor",
        transform_rotates_text=True,
        ha="center",
        va="bottom",
    )


def _note(axes: Axes, x: float, y: float, text: str, *, ha: Side, color: str = INK) -> None:
    axes.text(x, y, text, fontsize=7.5, ha=ha, va="bottom", color=color)


def _label_axes(axes: Axes) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_formatter(plain)
    axes.set_xlabel("arithmetic intensity (FLOP/byte, two FLOP a MAC)")
    axes.set_ylabel("attained (GFLOP/s)")
    axes.grid(alpha=0.2, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_legend(axes: Axes, layers: Sequence[Row]) -> None:
    """The kinds, one size for all, and what the sizes mean."""
    shown = {p["kind"] for p in layers}
    handles = [
        Line2D([], [], ls="", marker=s.marker, color=s.color, ms=6, mew=0, label=kind)
        for kind, s in STYLES.items()
        if kind in shown
    ]
    for share in (0.01, 0.05):
        side = max(LEAST, AREA * share) ** 0.5
        label = f"{share:.0%} of the time"
        handles.append(
            Line2D([], [], ls="", marker="o", mfc="none", mec=PALE, ms=side, label=label)
        )
    axes.legend(handles=handles, fontsize=7.5, frameon=False, loc="lower right")


# What each kind has of MACs and of time ----------------------------------------------------------


def _draw_shares(axes: Axes, kinds: Sequence[Row]) -> None:
    rows = list(reversed(kinds))
    at = np.arange(len(rows))
    colors = [STYLES[row["kind"]].color for row in rows]
    _draw_bars(axes, at + 0.2, [row["macs"] for row in rows], "MACs", colors, filled=False)
    _draw_bars(axes, at - 0.2, [row["time"] for row in rows], "time", colors, filled=True)
    axes.set_yticks(at, [row["kind"] for row in rows], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(0, 1.16 * max(max(row["macs"], row["time"]) for row in rows))
    axes.set_xlabel("share of MACs (hollow) and of time (filled)")
    axes.grid(axis="x", alpha=0.2, lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bars(
    axes: Axes, at: Any, shares: Sequence[float], name: str, colors: Sequence[str], *, filled: bool
) -> None:
    face = list(colors) if filled else ["white"] * len(shares)
    edge = list(colors)
    bars = axes.barh(at, shares, height=0.36, color=face, edgecolor=edge, linewidth=1.1, label=name)
    labels = [f"{share:.1%}" if share else "0" for share in shares]
    axes.bar_label(bars, labels, fontsize=7, padding=2, color=INK)
