"""A depthwise convolution whose weight gradient is quick on small maps.

oneDNN's takes a hundred times as long as all else of the layer where maps have few pixels: 51 ms
for 1,536 channels of 2 × 2, 5 × 5 filters and batch 64 on one core, where the sum below takes 3.
That is an eighth of a step of the space nas_bench_macro on images of 16 pixels in batches of 64. A
tap of the filter is a product of two shifted maps,

    dL/dw[c, i, j] = Σ x[b, c, s·h + i - p, s·w + j - p] · dL/dy[b, c, h, w]    over b, h, w

and on a small map most taps of a large filter see padding alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.layers import Pair


class Depthwise(torch.autograd.Function):
    """conv2d(x, weight) with one filter a channel: x (b, c, h, w), weight (c, 1, kh, kw)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window = stride, padding
        return F.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.window
        ofx = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], len(weight),
            [True, False, False],
        )[0]  # fmt: skip
        return ofx, _of_weight(x, gradient, weight.shape, stride, padding), None, None


def small_depthwise(x: Tensor, weight: Tensor, stride: int, padding: Pair) -> Tensor:
    """conv2d(x, weight) with one filter a channel; worth it where maps have fewer pixels than
    filters."""
    found: Tensor = Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]
    return found


def _of_weight(
    x: Tensor, gradient: Tensor, shape: torch.Size, stride: int, padding: Pair
) -> Tensor:
    found = gradient.new_zeros(shape)
    x, gradient = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)  # channels last in memory
    for i in range(shape[2]):
        rows, h = _seen(x.shape[1], gradient.shape[1], i - padding[0], stride)
        for j in range(shape[3]):
            columns, w = _seen(x.shape[2], gradient.shape[2], j - padding[1], stride)
            product = x[:, rows, columns] * gradient[:, h, w]
            found[:, 0, i, j] = product.sum((0, 1, 2))
    return found


def _seen(size: int, outputs: int, shift: int, stride: int) -> tuple[slice, slice]:
    """Where a tap of this shift lies within the image: of the input, and of the output."""
    first = max(0, -(shift // stride))
    last = min(outputs - 1, (size - 1 - shift) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + shift
    return slice(start, last * stride + shift + 1, stride), slice(first, last + 1)
