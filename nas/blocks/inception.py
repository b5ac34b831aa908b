"""The Inception module with its branches' shares as hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.blocks.attention import Attention, attend
from nas.blocks.base import Odd, Positive, Share, block, round_width, split_width
from nas.blocks.ghostnet import Pointwise, pointwise
from nas.graph import Tensor, concat
from nas.layers import Activation


@block
@dataclass(frozen=True, slots=True)
class Inception:
    """concat(1x1, 1x1–3x3, 1x1–large, pool–1x1). Inception, arXiv:1409.4842, with batch norm.

    The shares are those of the output width; what they leave is the 1x1 branch's. `reduce_3x3` and
    `reduce_large` are the widths of the 1x1 before these branches' convolutions, as shares of the
    convolutions' own. `large` is how the third branch sees `kernel`: `square` (v1), `stacked` 3x3
    convolutions (v2, arXiv:1502.03167) or `factorized` into 1xn and nx1 (v3, arXiv:1512.00567).
    At stride 2 a padded 3x3 max-pool comes first. `residual` makes it
    act(x + scale · project(concat)) where stride is 1 and widths are equal: Inception-ResNet,
    arXiv:1602.07261, whose authors scale by 0.1 to 0.3.
    """

    kernel: Odd = 5
    share_3x3: Share = 0.5
    share_large: Share = 0.125
    share_pool: Share = 0.125
    reduce_3x3: Positive = 0.5
    reduce_large: Positive = 0.5
    large: Literal["square", "stacked", "factorized"] = "square"
    residual: bool = False
    scale: float = 1.0
    pointwise: Pointwise = "dense"
    activation: Activation = "relu"
    attention: Attention = "none"
    squeeze: Positive = 0.25

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        if stride > 1:
            x = x.pool("max", 3, stride, name="stride")
        y = attend(self._branches(x, width), self.attention, self.squeeze)
        if not self.residual or stride > 1 or x.channels != width:
            return y
        y = pointwise(y, width, self.pointwise, act=None, name="project")
        return (x + (y if self.scale == 1 else y * self.scale)).activate(self.activation)

    def _branches(self, x: Tensor, width: int) -> Tensor:
        shares = (self.share_3x3, self.share_large, self.share_pool)
        if (rest := 1 - sum(shares)) <= 0:
            raise ValueError(f"the shares leave nothing for the 1x1 branch: {sum(shares):g} in all")
        plain, mid, large, pooled = split_width(width, (rest, *shares))
        return concat(
            self._pointwise(x, plain, "branch_1x1"),
            self._mid(self._reduced(x, mid * self.reduce_3x3, "branch_3x3"), mid),
            self._large(self._reduced(x, large * self.reduce_large, "branch_large"), large),
            self._pointwise(
                x.pool("max", 3, 1, name="branch_pool.pool"), pooled, "branch_pool.conv"
            ),
        )

    def _pointwise(self, x: Tensor, width: int, name: str) -> Tensor:
        return pointwise(x, width, self.pointwise, act=self.activation, name=name)

    def _reduced(self, x: Tensor, width: float, name: str) -> Tensor:
        return self._pointwise(x, round_width(width), f"{name}.reduce")

    def _mid(self, x: Tensor, width: int) -> Tensor:
        return x.conv(width, 3, act=self.activation, name="branch_3x3.conv")

    def _large(self, x: Tensor, width: int) -> Tensor:
        n, act = self.kernel, self.activation
        if self.large == "square" or (n == 3 and self.large == "stacked"):
            return x.conv(width, n, act=act, name="branch_large.conv")
        if self.large == "factorized":
            y = x.conv(width, (1, n), act=act, name="branch_large.row")
            return y.conv(width, (n, 1), act=act, name="branch_large.column")
        for i in range(n // 2):
            x = x.conv(width, 3, act=act, name=f"branch_large.conv{i + 1}")
        return x
