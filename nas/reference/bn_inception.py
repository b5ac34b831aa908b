"""BN-Inception (Inception v2), arXiv:1502.03167, as the Caffe port has it."""

from __future__ import annotations

from functools import partial
from typing import Literal

from nas.reference.base import Published
from nas.reference.layers import Layer, chain, conv, fork, network, pool

biased = partial(conv, bias=True)  # the port's convolutions keep one beside batch norm
halve = partial(pool, "max", 3, 2, ceil=True)


def _module(
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


def _halve(reduce_3: int, mid: int, reduce_33: int, large: int) -> Layer:
    return fork(
        chain(biased(reduce_3), biased(mid, 3, 2)),
        chain(biased(reduce_33), biased(large, 3), biased(large, 3, 2)),
        halve(),
    )


bn_inception = network(
    ("conv1", biased(64, 7, 2)),
    ("pool1", halve()),
    ("conv2", chain(biased(64), biased(192, 3))),
    ("pool2", halve()),
    # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool
    ("inception_3a", _module(64, 64, 64, 64, 96, "avg", 32)),
    ("inception_3b", _module(64, 64, 96, 64, 96, "avg", 64)),
    ("inception_3c", _halve(128, 160, 64, 96)),
    ("inception_4a", _module(224, 64, 96, 96, 128, "avg", 128)),
    ("inception_4b", _module(192, 96, 128, 96, 128, "avg", 128)),
    ("inception_4c", _module(160, 128, 160, 128, 160, "avg", 128)),
    ("inception_4d", _module(96, 128, 192, 160, 192, "avg", 128)),
    ("inception_4e", _halve(128, 192, 192, 256)),
    ("inception_5a", _module(352, 192, 320, 160, 224, "avg", 128)),
    ("inception_5b", _module(352, 192, 320, 192, 224, "max", 128)),
    dropout=0.0,
)

NETWORKS = (Published("bn_inception", "1502.03167", bn_inception, top1=74.8),)
