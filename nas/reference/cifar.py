"""The CIFAR form of a network: the same blocks and widths for images of 32x32."""

from __future__ import annotations

from dataclasses import replace

from nas.arch import Architecture, Stage
from nas.blocks import ConvBlock, PoolBlock


def cifar_form(arch: Architecture, *, halvings: int) -> Architecture:
    """`arch` for 32x32 and 10 classes without the first `halvings` (1 or 2) halvings of the map.

    The common CIFAR code (kuangliu/pytorch-cifar; SqueezeNet: weiaicunzai/pytorch-cifar100) puts a
    padded 3x3 stem of stride 1. MobileNetV1 and SqueezeNet stop there and end on a map of 2x2 and
    4x4; the others leave out the next halving too and end on 4x4: a max-pool after the stem is
    dropped, a stage's stride becomes 1. Here as there all else stays, widths and head too.
    """
    block = arch.stem.block
    if not isinstance(block, ConvBlock):
        raise TypeError(f"the stem must be a convolution, but got {block}")
    stem = replace(arch.stem, block=replace(block, kernel=3, padding="same"), stride=1)
    stages = arch.stages if halvings == 1 else _without_halving(arch.stages)
    return replace(arch, input=(3, 32, 32), stem=stem, stages=stages, classes=10)


def _without_halving(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    i = next(i for i, stage in enumerate(stages) if stage.stride > 1)
    pooled = isinstance(stages[i].block, PoolBlock)
    return (*stages[:i], *(() if pooled else (replace(stages[i], stride=1),)), *stages[i + 1 :])
