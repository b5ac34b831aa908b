"""A diagram as a picture: a box a block, as high as its map, and below it what it costs."""

from __future__ import annotations

from itertools import groupby
from math import log2
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from nas.diagram.layout import Diagram, Part
from nas.diagram.terminal import shape_text
from nas.metrics import METRICS
from nas.plot import DOLLAR, FAMILIES

PLAIN = "#DDDDDD"  # parts that are no searched family
INK = "#222222"
MACS, PARAMS = "#0072B2", "#E69F00"  # of Okabe and Ito's colours
BOX = 0.78  # of the way from one box to the next
INCHES = 0.36  # a box


def save_diagram(diagram: Diagram, path: str | Path) -> None:
    """Draw a network into a file."""
    plot_diagram(diagram).savefig(path)


def plot_diagram(diagram: Diagram) -> Figure:
    """Boxes above, from image to scores, and each one's share of MACs and parameters below."""
    width = max(7.0, 1.6 + INCHES * len(diagram.parts))
    figure = Figure(figsize=(width, 5.2), layout="constrained", dpi=160)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(1.7, 1))
    _draw_boxes(top, diagram.parts)
    _draw_shares(bottom, diagram)
    _draw_stages(bottom, diagram.parts)
    macs, params = (METRICS[n].format(getattr(diagram.cost, n)) for n in ("macs", "params"))
    title = f"{diagram.name}: {shape_text(diagram.input)}, {macs} macs, {params} params"
    figure.suptitle(title.translate(DOLLAR), fontsize=10, x=0.008, ha="left")
    return figure


def _draw_boxes(axes: Axes, parts: tuple[Part, ...]) -> None:
    """As high as the logarithm of the map's side; the channels above, the map below."""
    for i, part in enumerate(parts):
        height = _height(part)
        color = FAMILIES.get(part.block, PLAIN)
        axes.bar(i, height, BOX, -height / 2, color=color, edgecolor=INK, linewidth=0.6)
        label = {"rotation": 90, "fontsize": 7, "ha": "center", "color": INK}
        axes.text(i, height / 2 + 0.15, f"{part.output[0]}", va="bottom", **label)  # type: ignore[arg-type]
        if i == 0 or _side(part) != _side(parts[i - 1]):
            axes.text(i, -height / 2 - 0.15, _side(part), va="top", **label)  # type: ignore[arg-type]
    tallest = max(map(_height, parts))
    axes.set_ylim(-tallest / 2 - 1.9, tallest / 2 + 1.5)
    axes.set_axis_off()
    blocks = dict.fromkeys(part.block for part in parts if part.block in FAMILIES)
    handles = [Patch(facecolor=FAMILIES[b], edgecolor=INK, linewidth=0.6, label=b) for b in blocks]
    if handles:
        axes.legend(handles=handles, frameon=False, fontsize=8, loc="upper right", ncols=2)


def _side(part: Part) -> str:
    return f"{part.output[1]}×{part.output[2]}"


def _height(part: Part) -> float:
    return 0.6 + log2(max(part.output[1:]))


def _draw_shares(axes: Axes, diagram: Diagram) -> None:
    """Bars of each part's share of the whole."""
    macs, params = max(1, diagram.cost.macs), max(1, diagram.cost.params)
    places = range(len(diagram.parts))
    shares = [part.macs / macs for part in diagram.parts]
    axes.bar([i - BOX / 4 for i in places], shares, BOX / 2, color=MACS, label="macs")
    shares = [part.params / params for part in diagram.parts]
    axes.bar([i + BOX / 4 for i in places], shares, BOX / 2, color=PARAMS, label="params")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.set_ylabel("share")
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_stages(axes: Axes, parts: tuple[Part, ...]) -> None:
    """The stages' names in the middle of their boxes, thin lines between them."""
    ticks, labels, start = [], [], 0
    for stage, group in groupby(parts, key=lambda part: part.stage):
        count = len(list(group))
        ticks.append(start + (count - 1) / 2)
        labels.append(stage.removeprefix("stages."))
        start += count
        axes.axvline(start - 0.5, color=INK, alpha=0.15, linewidth=0.8)
    crowded = len(ticks) > 12 or any(len(label) > 5 for label in labels)
    axes.set_xticks(ticks, labels, rotation=90 if crowded else 0, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.7, len(parts) - 0.3)
