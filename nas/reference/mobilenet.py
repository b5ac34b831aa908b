"""MobileNet V1 and V2: arXiv:1704.04861 and 1801.04381.

Widths, rounding and activations are those of the authors' code, tensorflow/models,
research/slim/nets (mobilenet_v1.py, mobilenet/); so are MobileNetV2's accuracies below 1.0.
"""

from __future__ import annotations

from dataclasses import replace

from nas.arch import Architecture, Stage
from nas.blocks import (
    Classifier,
    ConvBlock,
    DepthwiseSeparable,
    Embedding,
    InvertedResidual,
    round_width,
)
from nas.reference.base import Family, Published

V1 = (
    # c, n, s
    (64, 1, 1),
    (128, 1, 2),
    (128, 1, 1),
    (256, 1, 2),
    (256, 1, 1),
    (512, 1, 2),
    (512, 5, 1),
    (1024, 1, 2),
    (1024, 1, 1),
)

V2 = (
    # t, c, n, s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v1(*, width: float = 1.0) -> Architecture:
    """MobileNetV1: every width is int(c · width), at least 8 (`min_depth`); ReLU6.

    The code's last layer is a 1x1 convolution with bias on the pooled map, that is a linear layer.
    """

    def scaled(channels: int) -> int:
        return max(8, int(channels * width))

    block = DepthwiseSeparable(activation="relu6")
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(activation="relu6"), depth=1, width=scaled(32), stride=2),
        stages=tuple(Stage(block, depth=n, width=scaled(c), stride=s) for c, n, s in V1),
        head=Classifier(dropout=0.001),
        classes=1000,
    )


def mobilenet_v2(*, width: float = 1.0) -> Architecture:
    """MobileNetV2: widths rounded to 8 and never below 90 %; ReLU6.

    The width multiplier widens the last convolution but never narrows it, "all layers except the
    very last convolutional layer" (`finegrain_classification_mode`).
    """
    block, last = InvertedResidual(activation="relu6"), round_width(1280 * max(1.0, width))
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(activation="relu6"), depth=1, width=round_width(32 * width), stride=2),
        stages=tuple(
            Stage(replace(block, expansion=t), depth=n, width=round_width(c * width), stride=s)
            for t, c, n, s in V2
        ),
        head=Classifier(width=last, dropout=0.2, activation="relu6"),
        classes=1000,
    )


def mobilenet_v1_embedding() -> Architecture:
    """MobileNetV1 for face recognition: an embedding of 128 numbers in place of the classes."""
    return replace(mobilenet_v1(), input=(3, 160, 160), head=Embedding(width=128, dropout=0.6))


FAMILIES = (
    Family(
        name="mobilenet_v1",
        paper="1704.04861",
        make=mobilenet_v1,
        parameters=("width",),
        cifar=1,
        top1={
            "mobilenet_v1_x1_0": 70.6,
            "mobilenet_v1_x0_75": 68.4,
            "mobilenet_v1_x0_5": 63.7,
            "mobilenet_v1_x0_25": 50.6,
        },
    ),
    Family(
        name="mobilenet_v2",
        paper="1801.04381",
        make=mobilenet_v2,
        parameters=("width",),
        cifar=2,
        top1={
            "mobilenet_v2_x1_4": 74.7,
            "mobilenet_v2_x1_0": 72.0,
            "mobilenet_v2_x0_75": 69.8,
            "mobilenet_v2_x0_5": 65.4,
            "mobilenet_v2_x0_35": 60.3,
        },
    ),
)

NETWORKS = (
    Published("mobilenet_v1_embedding", "1704.04861", mobilenet_v1_embedding(), resolution=160),
)
