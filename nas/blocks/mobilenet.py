"""Convolution–BN–activation, nothing at all, and the MobileNet blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.blocks.attention import Attention, attend
from nas.blocks.base import Count, Odd, Positive, block, legal_groups, round_width
from nas.blocks.ghostnet import Pointwise, pointwise
from nas.graph import Tensor
from nas.layers import Activation, Gate


@block(name="conv")
@dataclass(frozen=True, slots=True)
class ConvBlock:
    """act(BN(conv(x))), the layer of every network since batch norm, arXiv:1502.03167.

    `norm: false` is the layer of the networks before it, with a bias instead; `padding: valid`
    pads nothing.
    """

    kernel: Odd = 3
    groups: Count = 1
    norm: bool = True
    padding: Literal["same", "valid"] = "same"
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        groups = legal_groups(self.groups, x.channels, width)
        y = x.conv(
            width,
            self.kernel,
            stride,
            groups=groups,
            padding=0 if self.padding == "valid" else None,
            norm=self.norm,
            bias=not self.norm,
            act=self.activation,
        )
        return attend(y, self.attention, self.squeeze)


@block
@dataclass(frozen=True, slots=True)
class Identity:
    """x itself, and BN(1x1 conv(x)) where stride or width change: a layer left out.

    The layer 0 of NAS-Bench-Macro, arXiv:2103.11922.
    """

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        same = stride == 1 and x.channels == width
        return x if same else x.conv(width, 1, stride, act=None)


@block
@dataclass(frozen=True, slots=True)
class DepthwiseSeparable:
    """pointwise(depthwise(x)). MobileNet, arXiv:1704.04861.

    Attention stands between the two, on the depthwise output, as in the blocks that came later.
    """

    kernel: Odd = 3
    depth_multiplier: Count = 1
    pointwise: Pointwise = "dense"
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        y = x.depthwise(self.kernel, stride, act=self.activation, multiplier=self.depth_multiplier)
        y = attend(y, self.attention, self.squeeze)
        return pointwise(y, width, self.pointwise, act=self.activation, name="pointwise")


@block
@dataclass(frozen=True, slots=True)
class InvertedResidual:
    """x + project(depthwise(expand(x))). MobileNetV2, arXiv:1801.04381.

    With `attention: se` and `activation: hswish` it is the block of MobileNetV3, arXiv:1905.02244.
    The sum stands where stride is 1 and widths are equal. The inner width is rounded to 8.
    """

    kernel: Odd = 3
    expansion: Positive = 6
    pointwise: Pointwise = "dense"
    activation: Activation = "relu6"
    attention: Attention = "none"
    squeeze: Positive = 0.25
    gate: Gate = "hard_sigmoid"

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        widened = round_width(x.channels * self.expansion)
        hidden = x.channels if self.expansion == 1 else widened
        y = x
        if hidden != x.channels:
            y = pointwise(x, hidden, self.pointwise, act=self.activation, name="expand")
        y = y.depthwise(self.kernel, stride, act=self.activation)
        y = attend(y, self.attention, self.squeeze, gate=self.gate)
        y = pointwise(y, width, self.pointwise, act=None, name="project")
        return x + y if stride == 1 and x.channels == width else y
