"""SqueezeNet 1.0, arXiv:1602.07360, and the authors' later 1.1 (forresti/SqueezeNet).

Biases and no batch norm, pools without padding that round up, as in the Caffe models.
"""

from __future__ import annotations

from dataclasses import replace

from nas.arch import Architecture, Stage
from nas.blocks import ConvBlock, ConvClassifier, Fire, PoolBlock
from nas.reference.base import Family

FIRE = Fire(squeeze=0.125, share_3x3=0.5, norm=False)
POOL = PoolBlock(kernel=3, padding=0, ceil=True)

V1_0 = (
    # block, c, n, s
    (POOL, 96, 1, 2),
    (FIRE, 128, 2, 1),
    (FIRE, 256, 1, 1),
    (POOL, 256, 1, 2),
    (FIRE, 256, 1, 1),
    (FIRE, 384, 2, 1),
    (FIRE, 512, 1, 1),
    (POOL, 512, 1, 2),
    (FIRE, 512, 1, 1),
)

V1_1 = (
    # block, c, n, s
    (POOL, 64, 1, 2),
    (FIRE, 128, 2, 1),
    (POOL, 128, 1, 2),
    (FIRE, 256, 2, 1),
    (POOL, 256, 1, 2),
    (FIRE, 384, 2, 1),
    (FIRE, 512, 2, 1),
)


def squeezenet1_0() -> Architecture:
    """SqueezeNet 1.0: fires squeeze to an eighth of their output, in 1:1 of 1x1 and 3x3."""
    return _squeezenet(V1_0, kernel=7, width=96)


def squeezenet1_0_bypass() -> Architecture:
    """SqueezeNet 1.0 with simple bypass: x is added in the four fires that keep the width."""
    rows = tuple(
        (replace(block, bypass=True) if isinstance(block, Fire) else block, c, n, s)
        for block, c, n, s in V1_0
    )
    return _squeezenet(rows, kernel=7, width=96)


def squeezenet1_1() -> Architecture:
    """SqueezeNet 1.1: a smaller stem and earlier pools, 2.4 times cheaper."""
    return _squeezenet(V1_1, kernel=3, width=64)


def _squeezenet(
    rows: tuple[tuple[Fire | PoolBlock, int, int, int], ...], *, kernel: int, width: int
) -> Architecture:
    stem = ConvBlock(kernel=kernel, norm=False, padding="valid")
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(stem, depth=1, width=width, stride=2),
        stages=tuple(Stage(block, depth=n, width=c, stride=s) for block, c, n, s in rows),
        head=ConvClassifier(dropout=0.5),
        classes=1000,
    )


FAMILIES = (
    Family(
        name="squeezenet1_0",
        paper="1602.07360",
        make=squeezenet1_0,
        cifar=1,
        top1={"squeezenet1_0": 57.5},
    ),
    Family(
        name="squeezenet1_0_bypass",
        paper="1602.07360",
        make=squeezenet1_0_bypass,
        cifar=1,
        top1={"squeezenet1_0_bypass": 60.4},
    ),
    Family(
        name="squeezenet1_1",
        paper="1602.07360",
        make=squeezenet1_1,
        cifar=1,
        top1={"squeezenet1_1": 57.1},
    ),
)
