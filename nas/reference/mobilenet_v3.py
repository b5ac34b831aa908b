"""MobileNetV3, arXiv:1905.02244, as in the authors' code: tensorflow/models,
research/slim/nets/mobilenet/mobilenet_v3.py.

Inner widths are the input's times t, rounded to 8; squeeze–excitation sits after the depthwise
layer's activation, has a quarter of its width rounded to 8, ReLU inside and a hard sigmoid gate.
The width multiplier scales all convolutions, rounded to 8 and never below 90 %; it widens the
hidden layer of the head but never narrows it (below 1 by `finegrain_classification_mode`).
"""

from __future__ import annotations

from typing import TypeAlias

from nas.arch import Architecture, Stage
from nas.blocks import Classifier, ConvBlock, InvertedResidual, round_width
from nas.blocks.attention import Attention
from nas.layers import Activation
from nas.reference.base import Family

Row: TypeAlias = tuple[int, float, int, Attention, Activation, int]

LARGE: tuple[Row, ...] = (
    # k, t, c, attention, activation, s
    (3, 1, 16, "none", "relu", 1),
    (3, 4, 24, "none", "relu", 2),
    (3, 3, 24, "none", "relu", 1),
    (5, 3, 40, "se", "relu", 2),
    (5, 3, 40, "se", "relu", 1),
    (5, 3, 40, "se", "relu", 1),
    (3, 6, 80, "none", "hswish", 2),
    (3, 2.5, 80, "none", "hswish", 1),
    (3, 184 / 80, 80, "none", "hswish", 1),
    (3, 184 / 80, 80, "none", "hswish", 1),
    (3, 6, 112, "se", "hswish", 1),
    (3, 6, 112, "se", "hswish", 1),
    (5, 6, 160, "se", "hswish", 2),
    (5, 6, 160, "se", "hswish", 1),
    (5, 6, 160, "se", "hswish", 1),
)

SMALL: tuple[Row, ...] = (
    # k, t, c, attention, activation, s
    (3, 1, 16, "se", "relu", 2),
    (3, 72 / 16, 24, "none", "relu", 2),
    (3, 88 / 24, 24, "none", "relu", 1),
    (5, 4, 40, "se", "hswish", 2),
    (5, 6, 40, "se", "hswish", 1),
    (5, 6, 40, "se", "hswish", 1),
    (5, 3, 48, "se", "hswish", 1),
    (5, 3, 48, "se", "hswish", 1),
    (5, 6, 96, "se", "hswish", 2),
    (5, 6, 96, "se", "hswish", 1),
    (5, 6, 96, "se", "hswish", 1),
)


def mobilenet_v3_large(*, width: float = 1.0) -> Architecture:
    return _mobilenet_v3(LARGE, width, last=960, hidden=1280)


def mobilenet_v3_small(*, width: float = 1.0) -> Architecture:
    return _mobilenet_v3(SMALL, width, last=576, hidden=1024)


def _mobilenet_v3(rows: tuple[Row, ...], width: float, *, last: int, hidden: int) -> Architecture:
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(
            ConvBlock(activation="hswish"), depth=1, width=round_width(16 * width), stride=2
        ),
        stages=tuple(
            Stage(
                InvertedResidual(kernel=k, expansion=t, attention=attention, activation=activation),
                depth=1,
                width=round_width(c * width),
                stride=s,
            )
            for k, t, c, attention, activation, s in rows
        ),
        head=Classifier(
            width=round_width(last * width),
            hidden=round_width(hidden * max(1.0, width)),
            dropout=0.2,
            activation="hswish",
        ),
        classes=1000,
    )


FAMILIES = (
    Family(
        name="mobilenet_v3_large",
        paper="1905.02244",
        make=mobilenet_v3_large,
        cifar=2,
        top1={"mobilenet_v3_large": 75.2},
    ),
    Family(
        name="mobilenet_v3_large",
        paper="1905.02244",
        make=mobilenet_v3_large,
        parameters=("width",),
        cifar=2,
        top1={"mobilenet_v3_large_x0_75": 73.3},
    ),
    Family(
        name="mobilenet_v3_small",
        paper="1905.02244",
        make=mobilenet_v3_small,
        cifar=2,
        top1={"mobilenet_v3_small": 67.4},
    ),
    Family(
        name="mobilenet_v3_small",
        paper="1905.02244",
        make=mobilenet_v3_small,
        parameters=("width",),
        cifar=2,
        top1={"mobilenet_v3_small_x0_75": 65.4},
    ),
)
