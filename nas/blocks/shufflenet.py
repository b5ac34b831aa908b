"""The units of ShuffleNet V1 and V2."""

from __future__ import annotations

from dataclasses import dataclass

from nas.blocks.attention import Attention, attend
from nas.blocks.base import Count, Odd, Positive, block, legal_groups
from nas.blocks.ghostnet import Pointwise, pointwise
from nas.graph import Tensor, concat
from nas.layers import Activation


@block
@dataclass(frozen=True, slots=True)
class ShuffleV1:
    """Grouped 1x1, channel shuffle, depthwise, grouped 1x1. ShuffleNet, arXiv:1707.01083.

    Stride 1: act(x + y). Stride 2: act(concat(average pool of x, y)), y of width - in channels.
    At stride 1 with another width the stride-2 form is taken at stride 1; where the width does not
    exceed the input's, the pooled shortcut is projected by a 1x1 convolution and added. Groups that
    do not divide their channels give way to the gcd. `bottleneck` is the inner width as a share
    of the unit's total output. `group_first: false` keeps the first 1x1 dense where stride or
    width change, as the paper does in the first unit of stage 2, whose input is narrow.
    """

    kernel: Odd = 3
    groups: Count = 3
    bottleneck: Positive = 0.25
    group_first: bool = True
    pointwise: Pointwise = "dense"
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        keep = stride == 1 and x.channels == width
        joined = not keep and width > x.channels
        branch_width = width - x.channels if joined else width
        hidden = max(1, int(width * self.bottleneck))
        first = legal_groups(self.groups if self.group_first or keep else 1, x.channels, hidden)
        last = legal_groups(self.groups, hidden, branch_width)

        y = pointwise(x, hidden, self.pointwise, groups=first, act=self.activation, name="reduce")
        y = y.shuffle(first) if first > 1 else y
        y = y.depthwise(self.kernel, stride, act=None)
        y = pointwise(y, branch_width, self.pointwise, groups=last, act=None, name="expand")
        y = attend(y, self.attention, self.squeeze)
        if keep:
            return (x + y).activate(self.activation)
        shortcut = x.pool("avg", 3, stride, name="shortcut.pool")
        if joined:
            return concat(shortcut, y).activate(self.activation)
        shortcut = pointwise(shortcut, width, self.pointwise, act=None, name="shortcut.project")
        return (shortcut + y).activate(self.activation)


@block
@dataclass(frozen=True, slots=True)
class ShuffleV2:
    """Channel split, 1x1–depthwise–1x1 on one half, concat, shuffle. arXiv:1807.11164.

    Stride 2, or another width at stride 1: no split, both branches see all of x.
    """

    kernel: Odd = 3
    pointwise: Pointwise = "dense"
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        if width % 2:
            raise ValueError(f"shuffle_v2 needs an even width, but got {width=}")
        half = width // 2
        act = self.activation
        if stride == 1 and x.channels == width:
            left, right = x.slice(0, half, "keep"), x.slice(half, width, "take")
        else:
            left = x.depthwise(self.kernel, stride, act=None, name="shortcut.depthwise")
            left = pointwise(left, half, self.pointwise, act=act, name="shortcut.project")
            right = x
        y = pointwise(right, half, self.pointwise, act=act, name="reduce")
        y = y.depthwise(self.kernel, stride, act=None)
        y = pointwise(y, half, self.pointwise, act=act, name="expand")
        return concat(left, attend(y, self.attention, self.squeeze)).shuffle(2)
