"""Attention that any block can carry: squeeze–excitation and CBAM."""

from __future__ import annotations

from typing import Literal, TypeAlias

from nas.blocks.base import round_width
from nas.graph import Tensor, concat, fragment
from nas.layers import Activation, Gate

Attention: TypeAlias = Literal["none", "se", "cbam"]


def attend(
    x: Tensor,
    attention: Attention,
    squeeze: float = 0.25,
    *,
    gate: Gate = "hard_sigmoid",
    act: Activation = "relu",
    divisor: int = 8,
) -> Tensor:
    """x with the named attention; `squeeze` is the share of channels in its bottleneck."""
    if attention == "none":
        return x
    width = round_width(x.channels * squeeze, divisor)
    if attention == "se":
        return squeeze_excite(x, width, gate, act, name="se")
    return cbam(x, width, name="cbam")


@fragment
def squeeze_excite(x: Tensor, width: int, gate: Gate, act: Activation) -> Tensor:
    """x · gate(expand(reduce(mean x))). Squeeze-and-Excitation, arXiv:1709.01507.

    Both layers are 1x1 convolutions with bias and without batch norm, as in MobileNetV3.
    """
    y = x.global_pool().conv(width, bias=True, norm=False, act=act, name="reduce")
    return x.scale(y.conv(x.channels, bias=True, norm=False, act=gate, name="expand"))


@fragment
def cbam(x: Tensor, width: int, kernel: int = 7) -> Tensor:
    """Channel attention, then spatial attention. CBAM, arXiv:1807.06521.

    mlp(mean x) + mlp(max x) shares one mlp: the two vectors are stacked along the height, so that
    its parameters count once and its MACs twice. The spatial gate is a 7x7 convolution with batch
    norm over the mean and the maximum of the channels, as in the authors' code.
    """
    vectors = concat(x.global_pool("avg"), x.global_pool("max"), axis="height", name="stack")
    y = vectors.conv(width, bias=True, norm=False, act="relu", name="reduce")
    y = y.conv(x.channels, bias=True, norm=False, act=None, name="expand")
    x = x.scale(y.sum_height().activate("sigmoid"), name="scale_channels")
    maps = concat(x.channel_pool("avg"), x.channel_pool("max"), name="maps")
    return x.scale(maps.conv(1, kernel, act="sigmoid", name="spatial"), name="scale_positions")
