"""GoogLeNet (Inception v1), arXiv:1409.4842, and BN-Inception (v2), arXiv:1502.03167."""

from __future__ import annotations

from functools import partial
from typing import Literal

from nas.reference.base import Published
from nas.reference.layers import Layer, Row, chain, conv, fork, network, pool

halve = partial(pool, "max", 3, 2, ceil=True)


def _v1(plain: int, reduce_3: int, mid: int, reduce_5: int, large: int, pooled: int) -> Layer:
    return fork(
        conv(plain),
        chain(conv(reduce_3), conv(mid, 3)),
        chain(conv(reduce_5), conv(large, 3)),
        chain(pool("max", 3, 1, padding=1), conv(pooled)),
    )


# Inception v1 as torchvision has it: batch norm, 3x3 where the paper has 5x5, no auxiliary heads,
# pools that round up, of 2x2 before 5a.
googlenet = network(
    ("conv1", conv(64, 7, 2)),
    ("pool1", halve()),
    ("conv2", chain(conv(64), conv(192, 3))),
    ("pool2", halve()),
    # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
    ("inception_3a", _v1(64, 96, 128, 16, 32, 32)),
    ("inception_3b", _v1(128, 128, 192, 32, 96, 64)),
    ("pool3", halve()),
    ("inception_4a", _v1(192, 96, 208, 16, 48, 64)),
    ("inception_4b", _v1(160, 112, 224, 24, 64, 64)),
    ("inception_4c", _v1(128, 128, 256, 24, 64, 64)),
    ("inception_4d", _v1(112, 144, 288, 32, 64, 64)),
    ("inception_4e", _v1(256, 160, 320, 32, 128, 128)),
    ("pool4", pool("max", 2, 2, ceil=True)),
    ("inception_5a", _v1(256, 160, 320, 32, 128, 128)),
    ("inception_5b", _v1(384, 192, 384, 48, 128, 128)),
    dropout=0.2,
)

biased = partial(conv, bias=True)  # the Caffe port's convolutions keep one beside batch norm


def _v2(
    plain: int,
    reduce_3: int,
    mid: int,
    reduce_33: int,
    large: int,
    kind: Literal["max", "avg"],
    pooled: int,
) -> Layer:
    return fork(
        biased(plain),
        chain(biased(reduce_3), biased(mid, 3)),
        chain(biased(reduce_33), biased(large, 3), biased(large, 3)),
        chain(pool(kind, 3, 1, padding=1), biased(pooled)),
    )


def _v2_halve(reduce_3: int, mid: int, reduce_33: int, large: int) -> Layer:
    return fork(
        chain(biased(reduce_3), biased(mid, 3, 2)),
        chain(biased(reduce_33), biased(large, 3), biased(large, 3, 2)),
        halve(),
    )


V2: tuple[Row, ...] = (
    ("conv1", biased(64, 7, 2)),
    ("pool1", halve()),
    ("conv2", chain(biased(64), biased(192, 3))),
    ("pool2", halve()),
    # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool
    ("inception_3a", _v2(64, 64, 64, 64, 96, "avg", 32)),
    ("inception_3b", _v2(64, 64, 96, 64, 96, "avg", 64)),
    ("inception_3c", _v2_halve(128, 160, 64, 96)),
    ("inception_4a", _v2(224, 64, 96, 96, 128, "avg", 128)),
    ("inception_4b", _v2(192, 96, 128, 96, 128, "avg", 128)),
    ("inception_4c", _v2(160, 128, 160, 128, 160, "avg", 128)),
    ("inception_4d", _v2(96, 128, 192, 160, 192, "avg", 128)),
    ("inception_4e", _v2_halve(128, 192, 192, 256)),
    ("inception_5a", _v2(352, 192, 320, 160, 224, "avg", 128)),
    ("inception_5b", _v2(352, 192, 320, 192, 224, "max", 128)),
)
bn_inception = network(*V2, dropout=0.0)

NETWORKS = (
    Published("googlenet", "1409.4842", googlenet, top1=69.8),
    Published("bn_inception", "1502.03167", bn_inception, top1=74.8),
)
