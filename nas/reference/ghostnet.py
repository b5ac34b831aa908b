"""GhostNet, arXiv:1911.11907, as in the authors' code: huawei-noah, ghostnet_pytorch.

Widths and inner widths are multiplied, then rounded to 4 and never below 90 %; the layer of 1280
before the classifier is not scaled. Squeeze–excitation has a quarter of the inner width, rounded
to 4.
"""

from __future__ import annotations

from nas.arch import Architecture, Stage
from nas.blocks import Classifier, ConvBlock, Ghost, round_width
from nas.blocks.attention import Attention
from nas.reference.base import Family

ROWS: tuple[tuple[int, int, int, Attention, int], ...] = (
    # k, inner width, c, attention, s
    (3, 16, 16, "none", 1),
    (3, 48, 24, "none", 2),
    (3, 72, 24, "none", 1),
    (5, 72, 40, "se", 2),
    (5, 120, 40, "se", 1),
    (3, 240, 80, "none", 2),
    (3, 200, 80, "none", 1),
    (3, 184, 80, "none", 1),
    (3, 184, 80, "none", 1),
    (3, 480, 112, "se", 1),
    (3, 672, 112, "se", 1),
    (5, 672, 160, "se", 2),
    (5, 960, 160, "none", 1),
    (5, 960, 160, "se", 1),
    (5, 960, 160, "none", 1),
    (5, 960, 160, "se", 1),
)


def ghostnet(*, width: float = 1.0) -> Architecture:
    """GhostNet with all widths multiplied; `expansion` is a row's inner width over its input's."""

    def scaled(channels: int) -> int:
        return round_width(channels * width, 4)

    stem, stages = scaled(16), []
    inputs = stem
    for k, inner, c, attention, s in ROWS:
        block = Ghost(kernel=k, expansion=scaled(inner) / inputs, attention=attention)
        stages.append(Stage(block, depth=1, width=scaled(c), stride=s))
        inputs = scaled(c)
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(), depth=1, width=stem, stride=2),
        stages=tuple(stages),
        head=Classifier(width=scaled(960), hidden=1280, dropout=0.2),
        classes=1000,
    )


FAMILIES = (
    Family(
        name="ghostnet",
        paper="1911.11907",
        make=ghostnet,
        parameters=("width",),
        cifar=2,
        top1={"ghostnet_x0_5": 66.2, "ghostnet_x1_0": 73.9, "ghostnet_x1_3": 75.7},
    ),
)
