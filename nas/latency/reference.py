"""The network that every candidate is timed beside: MobileNetV1 x0.5 at 160 pixels, 10 classes.

It takes one to two milliseconds on one core of a server. It never changes, since every stored
latency is a multiple of its time, and is written out here, so that work on the blocks cannot
touch it.

What slows a machine slows networks unequally, so the reference must be one that suffers as
candidates do. In turn with six published networks for minutes on a shared server, medians of
seven seconds: their times had a standard deviation of 6.8 %, the ratios to this network 2.5 %, to
MobileNetV2 x0.5 with its large classifier 5.1 %, to a few plain 3x3 convolutions 3.9 %.
"""

from __future__ import annotations

from nas.graph import Graph, Tensor, record

INPUT = (3, 160, 160)
# (width, stride) of the depthwise separable blocks; arXiv:1704.04861, table 1, at half width
ROWS = (
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    *((256, 1),) * 5,
    (512, 2),
    (512, 1),
)


def reference() -> Graph:
    """76,017,920 MACs and 823,722 parameters."""
    return record(INPUT, _network)


def _network(x: Tensor) -> Tensor:
    x = x.conv(16, 3, stride=2)
    for width, stride in ROWS:
        x = x.depthwise(3, stride).conv(width)
    return x.global_pool().linear(10)
