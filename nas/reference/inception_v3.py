"""Inception v3, arXiv:1512.00567, as in tensorflow/models and torchvision, no auxiliary head."""

from __future__ import annotations

from functools import partial

from nas.reference.base import Published
from nas.reference.layers import Layer, Row, chain, conv, fork, network, pool

valid = partial(conv, valid=True)
around = partial(pool, "avg", 3, 1, padding=1)
halve = partial(pool, "max", 3, 2)

STEM: tuple[Row, ...] = (
    ("conv_1a", valid(32, 3, 2)),
    ("conv_2a", valid(32, 3)),
    ("conv_2b", conv(64, 3)),
    ("pool_3a", halve()),
    ("conv_3b", conv(80)),
    ("conv_4a", valid(192, 3)),
    ("pool_5a", halve()),
)


def _a(pooled: int) -> Layer:
    """Figure 5: 35x35, with a 5x5 as in the code."""
    return fork(
        conv(64),
        chain(conv(48), conv(64, 5)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(around(), conv(pooled)),
    )


def _a_halve() -> Layer:
    """35x35 → 17x17."""
    return fork(
        valid(384, 3, 2),
        chain(conv(64), conv(96, 3), valid(96, 3, 2)),
        halve(),
    )


def _b(inner: int) -> Layer:
    """Figure 6: 17x17, 7x7 factorized into 1x7 and 7x1."""
    row, column = (1, 7), (7, 1)
    return fork(
        conv(192),
        chain(conv(inner), conv(inner, row), conv(192, column)),
        chain(
            conv(inner),
            conv(inner, column),
            conv(inner, row),
            conv(inner, column),
            conv(192, row),
        ),
        chain(around(), conv(192)),
    )


def _b_halve() -> Layer:
    """17x17 → 8x8."""
    return fork(
        chain(conv(192), valid(320, 3, 2)),
        chain(conv(192), conv(192, (1, 7)), conv(192, (7, 1)), valid(192, 3, 2)),
        halve(),
    )


def _c() -> Layer:
    """Figure 7: 8x8, branches that fork again."""
    both = fork(conv(384, (1, 3)), conv(384, (3, 1)))
    return fork(
        conv(320),
        chain(conv(384), both),
        chain(conv(448), conv(384, 3), both),
        chain(around(), conv(192)),
    )


inception_v3 = network(
    *STEM,
    ("mixed_5b", _a(32)),
    ("mixed_5c", _a(64)),
    ("mixed_5d", _a(64)),
    ("mixed_6a", _a_halve()),
    ("mixed_6b", _b(128)),
    ("mixed_6c", _b(160)),
    ("mixed_6d", _b(160)),
    ("mixed_6e", _b(192)),
    ("mixed_7a", _b_halve()),
    ("mixed_7b", _c()),
    ("mixed_7c", _c()),
    dropout=0.5,
)

NETWORKS = (Published("inception_v3", "1512.00567", inception_v3, resolution=299, top1=77.3),)
