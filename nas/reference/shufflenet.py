"""ShuffleNet V1 and V2, arXiv:1707.01083 and 1807.11164.

Units are those of the authors' code, megvii-model/ShuffleNet-Series; as in most ports, and in the
counts that are quoted, the classifier has a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from nas.arch import Architecture, Stage
from nas.blocks import Classifier, ConvBlock, PoolBlock, ShuffleV1, ShuffleV2
from nas.errors import InputError
from nas.reference.base import Family

DEPTHS = (4, 8, 4)  # of stages 2 to 4

V1_WIDTHS = {
    # groups: stages 2 to 4
    1: (144, 288, 576),
    2: (200, 400, 800),
    3: (240, 480, 960),
    4: (272, 544, 1088),
    8: (384, 768, 1536),
}

V2_WIDTHS = {
    # width: stages 2 to 4, last convolution
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}


def shufflenet_v1(*, groups: int = 3, width: float = 1.0) -> Architecture:
    """ShuffleNetV1: every width, the stem's 24 too, is int(c · width).

    At 1.5 the authors' code, and with it the 292 M MACs of the paper's table 5, has a stem of 24;
    here it is 36. The inner width is a quarter of a unit's whole output; the first 1x1 of stage 2
    is dense. Raises InputError where groups or the quarter do not divide: there is no rounding.
    """
    if groups not in V1_WIDTHS:
        raise InputError(f"groups: expected one of {', '.join(map(str, V1_WIDTHS))}, got {groups}")
    stem, *widths = (int(c * width) for c in (24, *V1_WIDTHS[groups]))
    _check_division(groups, (stem, *widths))
    block = ShuffleV1(groups=groups, bottleneck=0.25)
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(), depth=1, width=stem, stride=2),
        stages=(
            Stage(PoolBlock(), depth=1, width=stem, stride=2),
            Stage(replace(block, group_first=False), depth=1, width=widths[0], stride=2),
            Stage(block, depth=DEPTHS[0] - 1, width=widths[0], stride=1),
            Stage(block, depth=DEPTHS[1], width=widths[1], stride=2),
            Stage(block, depth=DEPTHS[2], width=widths[2], stride=2),
        ),
        head=Classifier(),
        classes=1000,
    )


def _check_division(groups: int, widths: Sequence[int]) -> None:
    """`widths` has the stem's first."""
    for stage, (inputs, outputs) in enumerate(pairwise(widths), start=2):
        if inputs < 1 or outputs % 4:
            raise InputError(f"a quarter of stage {stage}'s {outputs} channels is no whole number")
        parts = {
            "inner": outputs // 4,
            "new": outputs - inputs,  # what the unit of stride 2 joins to its shortcut
            "output": outputs,
        }
        for what, channels in parts.items():
            if channels % groups:
                raise InputError(
                    f"{groups} groups do not divide the {channels} {what} channels of stage {stage}"
                )


def shufflenet_v2(*, width: float = 1.0) -> Architecture:
    """ShuffleNetV2: the widths are table 5 of the paper; dropout at the largest alone."""
    if width not in V2_WIDTHS:
        raise InputError(f"width: expected one of {', '.join(map(str, V2_WIDTHS))}, got {width}")
    *widths, last = V2_WIDTHS[width]
    return Architecture(
        input=(3, 224, 224),
        stem=Stage(ConvBlock(), depth=1, width=24, stride=2),
        stages=(
            Stage(PoolBlock(), depth=1, width=24, stride=2),
            *(
                Stage(ShuffleV2(), depth=n, width=c, stride=2)
                for c, n in zip(widths, DEPTHS, strict=True)
            ),
        ),
        head=Classifier(width=last, dropout=0.2 if width == 2.0 else 0.0),
        classes=1000,
    )


FAMILIES = (
    Family(
        name="shufflenet_v1",
        paper="1707.01083",
        make=shufflenet_v1,
        parameters=("groups", "width"),
        cifar=2,
        top1={
            "shufflenet_v1_g1_x1_0": 66.4,
            "shufflenet_v1_g2_x1_0": 67.3,
            "shufflenet_v1_g3_x1_0": 67.4,
            "shufflenet_v1_g4_x1_0": 67.2,
            "shufflenet_v1_g8_x1_0": 67.6,
            "shufflenet_v1_g1_x0_5": 54.9,
            "shufflenet_v1_g3_x0_5": 56.8,
            "shufflenet_v1_g1_x0_25": 42.9,
            "shufflenet_v1_g3_x0_25": 45.0,
        },
    ),
    Family(
        name="shufflenet_v2",
        paper="1807.11164",
        make=shufflenet_v2,
        parameters=("width",),
        cifar=2,
        top1={
            "shufflenet_v2_x0_5": 60.3,
            "shufflenet_v2_x1_0": 69.4,
            "shufflenet_v2_x1_5": 72.6,
            "shufflenet_v2_x2_0": 74.9,
        },
    ),
)
