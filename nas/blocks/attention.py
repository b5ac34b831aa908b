"""Attention that any block can carry: squeeze–excitation and CBAM."""

from __future__ import annotations

from typing import Literal, TypeAlias

from nas.blocks.base import round_width
from nas.graph import Activation, Gate, Tensor, concat

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
        return squeeze_excite(x, width, gate=gate, act=act)
    return cbam(x, width)


def squeeze_excite(
    x: Tensor, width: int, *, gate: Gate = "sigmoid", act: Activation = "relu"
) -> Tensor:
    """x · gate(expand(reduce(mean x))). Squeeze-and-Excitation, arXiv:1709.01507.

    Both layers are 1x1 convolutions with bias and without batch norm, as in MobileNetV3.
    """
    y = x.global_pool(name="se.pool")
    y = y.conv(width, bias=True, norm=False, act=act, name="se.reduce")
    return x.scale(
        y.conv(x.channels, bias=True, norm=False, act=gate, name="se.expand"), "se.scale"
    )


def cbam(x: Tensor, width: int, kernel: int = 7) -> Tensor:
    """Channel attention, then spatial attention. CBAM, arXiv:1807.06521.

    mlp(mean x) + mlp(max x) shares one mlp: the two vectors are stacked along the height, so that
    its parameters count once and its MACs twice. The spatial gate is a 7x7 convolution with batch
    norm over the mean and the maximum of the channels, as in the authors' code.
    """
    vectors = concat(
        x.global_pool("avg", "cbam.avg"),
        x.global_pool("max", "cbam.max"),
        axis="height",
        name="cbam.stack",
    )
    y = vectors.conv(width, bias=True, norm=False, act="relu", name="cbam.reduce")
    y = y.conv(x.channels, bias=True, norm=False, act=None, name="cbam.expand")
    x = x.scale(y.sum_height("cbam.sum").activate("sigmoid", "cbam.gate"), "cbam.channels")
    maps = concat(
        x.channel_pool("avg", "cbam.mean"), x.channel_pool("max", "cbam.peak"), name="cbam.maps"
    )
    return x.scale(maps.conv(1, kernel, act="sigmoid", name="cbam.spatial"), "cbam.positions")
