"""The network that every candidate is timed beside: MobileNetV2 x0.5 at 160 pixels.

It takes one to two milliseconds on one core of a desktop, and it never changes: every stored
latency is a multiple of its time. It is written out here, so that work on the blocks cannot touch
it.
"""

from __future__ import annotations

from nas.graph import Graph, Tensor, record

INPUT = (3, 160, 160)
# t, c, n, s: expansion, width, repeats, stride; arXiv:1801.04381, table 2, at half width
ROWS = (
    (1, 8, 1, 1),
    (6, 16, 2, 2),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
    (6, 160, 1, 1),
)


def reference() -> Graph:
    """50,184,000 MACs and 1,968,680 parameters."""
    return record(INPUT, _network)


def _network(x: Tensor) -> Tensor:
    x = x.conv(16, 3, stride=2, act="relu6")
    for expansion, width, repeats, stride in ROWS:
        for i in range(repeats):
            x = _inverted_residual(x, expansion, width, stride if i == 0 else 1)
    return x.conv(1280, act="relu6").global_pool().linear(1000)


def _inverted_residual(x: Tensor, expansion: int, width: int, stride: int) -> Tensor:
    y = x if expansion == 1 else x.conv(expansion * x.channels, act="relu6")
    y = y.depthwise(3, stride, act="relu6").conv(width, act=None)
    return x + y if stride == 1 and x.channels == width else y
