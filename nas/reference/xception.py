"""Xception, arXiv:1610.02357, as in the author's code, keras.applications.xception."""

from __future__ import annotations

from nas.graph import Tensor, fragment
from nas.layers import Act
from nas.reference.base import Published


def xception(x: Tensor, classes: int) -> Tensor:
    """Entry, middle and exit flow of figure 5; dropout 0.5 as in section 4.4."""
    x = x.conv(32, 3, 2, padding=0, name="conv1").conv(64, 3, padding=0, name="conv2")
    x = _halve(x, (128, 128), False, name="block1")
    x = _halve(x, (256, 256), True, name="block2")
    x = _halve(x, (728, 728), True, name="block3")
    for i in range(4, 12):
        x = _middle(x, name=f"block{i}")
    x = _halve(x, (728, 1024), True, name="block12")
    x = _exit(x, name="exit")
    return x.global_pool().dropout(0.5).linear(classes, name="classifier")


def _separable(x: Tensor, width: int, act: Act | None = None) -> Tensor:
    """pointwise(depthwise(x)), batch norm after the second alone."""
    x = x.depthwise(3, norm=False, act=None)
    return x.conv(width, act=act, name="pointwise")


@fragment
def _halve(x: Tensor, widths: tuple[int, int], activate: bool) -> Tensor:
    """project(x) + max-pool(two separable convolutions, each after a ReLU)."""
    shortcut = x.conv(widths[1], stride=2, act=None, name="shortcut")
    y = x.activate("relu") if activate else x  # block 1 follows a ReLU
    y = _separable(_separable(y, widths[0], act="relu"), widths[1])
    return y.pool("max", 3, 2) + shortcut


@fragment
def _middle(x: Tensor) -> Tensor:
    """x + three separable convolutions, each after a ReLU."""
    y = _separable(x.activate("relu"), x.channels, act="relu")
    return _separable(_separable(y, x.channels, act="relu"), x.channels) + x


@fragment
def _exit(x: Tensor) -> Tensor:
    return _separable(_separable(x, 1536, act="relu"), 2048, act="relu")


NETWORKS = (Published("xception", "1610.02357", xception, resolution=299, top1=79.0),)
