"""GoogLeNet (Inception v1), arXiv:1409.4842, as torchvision has it: batch norm, 3x3 where the
paper has 5x5, no auxiliary heads, pools that round up, of 2x2 before 5a.
"""

from __future__ import annotations

from nas.arch import Architecture, Stage
from nas.blocks import Classifier, ConvBlock, Inception, PoolBlock
from nas.reference.base import Published


def googlenet() -> Architecture:
    """GoogLeNet: table 1 of the paper, a module a stage."""
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(kernel=7), depth=1, width=64, stride=2),
        stages=(
            _pool(64, kernel=3),
            Stage(ConvBlock(kernel=1), depth=1, width=64),
            Stage(ConvBlock(kernel=3), depth=1, width=192),
            _pool(192, kernel=3),
            # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
            _module(64, 96, 128, 16, 32, 32),  # 3a
            _module(128, 128, 192, 32, 96, 64),
            _pool(480, kernel=3),
            _module(192, 96, 208, 16, 48, 64),  # 4a
            _module(160, 112, 224, 24, 64, 64),
            _module(128, 128, 256, 24, 64, 64),
            _module(112, 144, 288, 32, 64, 64),
            _module(256, 160, 320, 32, 128, 128),
            _pool(832, kernel=2),
            _module(256, 160, 320, 32, 128, 128),  # 5a
            _module(384, 192, 384, 48, 128, 128),
        ),
        head=Classifier(dropout=0.2),
        classes=1000,
    )


def _pool(width: int, *, kernel: int) -> Stage:
    return Stage(PoolBlock(kernel=kernel, padding=0, ceil=True), depth=1, width=width, stride=2)


def _module(plain: int, reduce_3: int, mid: int, reduce_5: int, large: int, pooled: int) -> Stage:
    """A module of the table, its widths as the shares that the block takes."""
    width = plain + mid + large + pooled
    block = Inception(
        kernel=3,
        share_3x3=mid / width,
        share_large=large / width,
        share_pool=pooled / width,
        reduce_3x3=reduce_3 / mid,
        reduce_large=reduce_5 / large,
    )
    return Stage(block, depth=1, width=width)


NETWORKS = (Published("googlenet", "1409.4842", googlenet(), top1=69.8),)
