"""Why multiply–accumulates do not rank latency: layers, the roofline, ShuffleNetV2's guidelines."""

from nas.analysis.guidelines import Guideline, guidelines
from nas.analysis.layers import LayerCount, count_layers, intensity, totals
from nas.analysis.machine import Machine, this_machine
from nas.analysis.roofline import Roofline, roofline

__all__ = [
    "Guideline",
    "LayerCount",
    "Machine",
    "Roofline",
    "count_layers",
    "guidelines",
    "intensity",
    "roofline",
    "this_machine",
    "totals",
]
