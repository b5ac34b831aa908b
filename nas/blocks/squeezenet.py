"""SqueezeNet's Fire module."""

from __future__ import annotations

from dataclasses import dataclass

from nas.blocks.attention import Attention, attend
from nas.blocks.base import Odd, Positive, Share, block, round_width, split_width
from nas.blocks.ghostnet import Pointwise, pointwise
from nas.graph import Tensor, concat
from nas.layers import Activation


@block
@dataclass(frozen=True, slots=True)
class Fire:
    """concat(1x1(squeeze(x)), 3x3(squeeze(x))). SqueezeNet, arXiv:1602.07360.

    `squeeze` is the squeeze layer's share of the output width, `share_3x3` that of the larger
    expand layer. `bypass` adds x where stride is 1 and widths are equal. At stride 2 a padded 3x3
    max-pool comes first. The paper's own module has `norm: false`: biases and no batch norm.
    """

    kernel: Odd = 3
    squeeze: Positive = 0.125
    share_3x3: Share = 0.5
    bypass: bool = False
    norm: bool = True
    pointwise: Pointwise = "dense"
    activation: Activation = "relu"
    attention: Attention = "none"

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1:
            x = x.pool("max", 3, stride)
        narrow, wide = split_width(width, (1 - self.share_3x3, self.share_3x3))
        y = self._pointwise(x, round_width(width * self.squeeze), "squeeze")
        norm, act = self.norm, self.activation
        y = concat(
            self._pointwise(y, narrow, "expand_1x1"),
            y.conv(wide, self.kernel, norm=norm, bias=not norm, act=act, name="expand_3x3"),
        )
        y = attend(y, self.attention, self.squeeze)
        return x + y if self.bypass and stride == 1 and x.channels == width else y

    def _pointwise(self, x: Tensor, width: int, name: str) -> Tensor:
        return pointwise(x, width, self.pointwise, norm=self.norm, act=self.activation, name=name)
