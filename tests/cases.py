"""Small graphs of every block with every option, for the tests that compare back ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import product
from typing import Any, get_args

import torch
from hypothesis import settings

from nas.arch import Architecture, Stage
from nas.blocks import (
    BLOCKS,
    Classifier,
    ConvBlock,
    DepthwiseSeparable,
    Fire,
    Ghost,
    Inception,
    InvertedResidual,
    PoolBlock,
    ShuffleV1,
    name_of,
)
from nas.graph import Graph, record
from nas.layers import Activation, Gate

settings.register_profile("nas", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("nas")
torch.set_num_threads(1)  # maps this small gain nothing from two, and lose on a busy machine

SIZE = (16, 13, 11)  # odd and not square, so that padding and rounding show
FAMILIES = [cls() for cls in BLOCKS.values() if cls.__module__.startswith("nas.blocks")]
FORMS = [
    ConvBlock(kernel=5, groups=4),
    ConvBlock(norm=False, padding="valid"),
    DepthwiseSeparable(depth_multiplier=2),
    DepthwiseSeparable(pointwise="ghost"),
    Fire(bypass=True, norm=False),
    Ghost(ratio=3, kernel=5),
    Ghost(ratio=4, expansion=2.5, cheap_kernel=5),
    Inception(kernel=7, large="stacked"),
    Inception(kernel=7, large="factorized"),
    InvertedResidual(expansion=1),
    PoolBlock(),
    PoolBlock("avg"),
    PoolBlock("avg", ceil=True),
    PoolBlock("avg", kernel=2, padding=0, ceil=True),
    PoolBlock("max", ceil=True),
    PoolBlock("max", kernel=2, padding=0, ceil=True),
    ShuffleV1(groups=4, group_first=False),
    ShuffleV1(groups=8),
]


STRIDES_AND_WIDTHS = ((1, 16), (1, 24), (2, 16), (2, 24))


def _variants() -> Iterator[tuple[Any, int, int]]:
    """(block, stride, width): attention everywhere, activations and gates once each."""
    for block in FAMILIES:
        names = {field.name for field in fields(block)}
        attentions = ("none", "se", "cbam") if "attention" in names else ()
        for attention, (stride, width) in product(attentions, STRIDES_AND_WIDTHS):
            yield replace(block, attention=attention), stride, width
        for act in get_args(Activation) if "activation" in names else ():
            yield replace(block, activation=act), 2, 24
        for gate in get_args(Gate) if "gate" in names else ():
            yield replace(block, attention="se", gate=gate), 1, 16
    for block, (stride, width) in product(FORMS, STRIDES_AND_WIDTHS):
        if width == SIZE[0] or not isinstance(block, PoolBlock):
            yield block, stride, width
    for stride in (1, 2):  # narrower than its input, this one has a form of its own
        yield ShuffleV1(), stride, 8


def _cases() -> Iterator[tuple[str, Graph]]:
    for block, stride, width in _variants():
        settings = ",".join(
            f"{field.name}={getattr(block, field.name)}"
            for field in fields(block)
            if getattr(block, field.name) != field.default
        )
        name = f"{name_of(block)}({settings})-to{width}-s{stride}"
        yield name, record(SIZE, partial(block, width=width, stride=stride))


CASES = dict(_cases())


def mobilenet_v2(size: int = 224, classes: int = 1000) -> Architecture:
    """MobileNetV2 1.0 as in the paper, arXiv:1801.04381, table 2."""
    # t, c, n, s
    rows = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    return Architecture(
        input=(3, size, size),
        stem=Stage(ConvBlock(activation="relu6"), depth=1, width=32, stride=2),
        stages=tuple(Stage(InvertedResidual(expansion=t), n, c, s) for t, c, n, s in rows),
        head=Classifier(width=1280, dropout=0.2, activation="relu6"),
        classes=classes,
    )
