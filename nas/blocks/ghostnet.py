"""The Ghost module and GhostNet's bottleneck."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from nas.blocks.attention import Attention, attend
from nas.blocks.base import block, round_width
from nas.graph import Activation, Gate, Tensor, concat


def ghost_module(
    x: Tensor,
    width: int,
    *,
    ratio: int = 2,
    kernel: int = 1,
    cheap_kernel: int = 3,
    act: Activation | None = "relu",
    name: str = "ghost",
) -> Tensor:
    """A convolution to width/ratio channels, the others by cheap depthwise filters of these.

    GhostNet, arXiv:1911.11907: m = ceil(width / ratio) intrinsic maps, (ratio - 1)·m ghosts; what
    exceeds `width` is cut.
    """
    if ratio == 1:
        return x.conv(width, kernel, act=act, name=f"{name}.primary")
    intrinsic = ceil(width / ratio)
    y = x.conv(intrinsic, kernel, act=act, name=f"{name}.primary")
    ghosts = y.depthwise(cheap_kernel, act=act, multiplier=ratio - 1, name=f"{name}.cheap")
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

    kernel: int = 3
    expansion: float = 3
    ratio: int = 2
    cheap_kernel: int = 3
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: float = 0.25
    gate: Gate = "hard_sigmoid"
    squeeze_divisor: int = 4

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        hidden = round_width(x.channels * self.expansion, 4)
        form = {"ratio": self.ratio, "cheap_kernel": self.cheap_kernel}
        y = ghost_module(x, hidden, act=self.activation, name="expand", **form)
        if stride > 1:
            y = y.depthwise(self.kernel, stride, act=None)
        y = attend(y, self.attention, self.squeeze, gate=self.gate, divisor=self.squeeze_divisor)
        y = ghost_module(y, width, act=None, name="project", **form)
        if stride == 1 and x.channels == width:
            return x + y
        shortcut = x.depthwise(self.kernel, stride, act=None, name="shortcut.depthwise")
        return shortcut.conv(width, act=None, name="shortcut.project") + y
