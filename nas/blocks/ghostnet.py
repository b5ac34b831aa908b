"""The Ghost module and GhostNet's bottleneck."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Literal, TypeAlias

from nas.blocks.attention import Attention, attend
from nas.blocks.base import Count, Odd, Positive, block, legal_groups, round_width
from nas.graph import Tensor, concat
from nas.layers import Activation, Gate

Pointwise: TypeAlias = Literal["dense", "ghost"]


def pointwise(
    x: Tensor,
    width: int,
    form: Pointwise,
    *,
    groups: int = 1,
    norm: bool = True,
    act: Activation | None = "relu",
    name: str = "conv",
) -> Tensor:
    """A block's 1x1 convolution, or a Ghost module (ratio 2) in its place."""
    if form == "ghost":
        return ghost_module(x, width, groups=groups, norm=norm, act=act, name=name)
    return x.conv(width, groups=groups, norm=norm, bias=not norm, act=act, name=name)


def ghost_module(
    x: Tensor,
    width: int,
    *,
    ratio: int = 2,
    kernel: int = 1,
    cheap_kernel: int = 3,
    groups: int = 1,
    norm: bool = True,
    act: Activation | None = "relu",
    name: str = "ghost",
) -> Tensor:
    """A convolution to width/ratio channels, the others by cheap depthwise filters of these.

    GhostNet, arXiv:1911.11907: m = ceil(width / ratio) intrinsic maps, (ratio - 1)·m ghosts; what
    exceeds `width` is cut. Without batch norm the convolution has a bias, the cheap filters none.
    """
    intrinsic = ceil(width / ratio)
    groups = legal_groups(groups, x.channels, intrinsic)
    path = f"{name}.primary"
    y = x.conv(intrinsic, kernel, groups=groups, norm=norm, bias=not norm, act=act, name=path)
    if ratio == 1:
        return y
    path = f"{name}.cheap"
    ghosts = y.depthwise(cheap_kernel, norm=norm, act=act, multiplier=ratio - 1, name=path)
    y = concat(y, ghosts, name=f"{name}.concat")
    return y if y.channels == width else y.slice(0, width, f"{name}.slice")


@block
@dataclass(frozen=True, slots=True)
class Ghost:
    """Two Ghost modules, a depthwise between them at stride 2. GhostNet, arXiv:1911.11907.

    The shortcut is x, or depthwise and 1x1 where stride or width change; at stride 1 the main
    branch has no depthwise, even where the width changes, as in the authors' code. `kernel` is the
    strided depthwise's, `cheap_kernel` the one that makes ghosts.
    """

    kernel: Odd = 3
    expansion: Positive = 3
    ratio: Count = 2
    cheap_kernel: Odd = 3
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25
    gate: Gate = "hard_sigmoid"
    squeeze_divisor: Count = 4

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = round_width(x.channels * self.expansion, 4)
        module = partial(ghost_module, ratio=self.ratio, cheap_kernel=self.cheap_kernel)
        y = module(x, hidden, act=self.activation, name="expand")
        if stride > 1:
            y = y.depthwise(self.kernel, stride, act=None)
        y = attend(y, self.attention, self.squeeze, gate=self.gate, divisor=self.squeeze_divisor)
        y = module(y, width, act=None, name="project")
        if stride == 1 and x.channels == width:
            return x + y
        shortcut = x.depthwise(self.kernel, stride, act=None, name="shortcut.depthwise")
        return shortcut.conv(width, act=None, name="shortcut.project") + y
