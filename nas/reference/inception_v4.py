"""Inception v4 and Inception-ResNet v2, arXiv:1602.07261, as in tensorflow/models
(research/slim/nets) and its port in Cadene/pretrained-models.pytorch: batch norm learns a scale,
averages do not count the padding.
"""

from __future__ import annotations

from functools import partial

from nas.graph import Tensor
from nas.layers import Act
from nas.reference.base import Published
from nas.reference.inception_v3 import STEM, halve, valid
from nas.reference.layers import Layer, chain, conv, fork, network, pool

around = partial(pool, "avg", 3, 1, padding=1, count_padding=False)
ROW, COLUMN = (1, 7), (7, 1)


def _stem_4a() -> Layer:
    return fork(
        chain(conv(64), valid(96, 3)),
        chain(conv(64), conv(64, ROW), conv(64, COLUMN), valid(96, 3)),
    )


def _a() -> Layer:
    """Figure 4: 35x35."""
    return fork(
        conv(96),
        chain(conv(64), conv(96, 3)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(around(), conv(96)),
    )


def _a_halve(reduce: int, inner: int, double: int, single: int) -> Layer:
    """Figure 7: 35x35 → 17x17 in both networks, with k, l, m, n of table 1."""
    return fork(
        valid(single, 3, 2),
        chain(conv(reduce), conv(inner, 3), valid(double, 3, 2)),
        halve(),
    )


def _b() -> Layer:
    """Figure 5: 17x17."""
    return fork(
        conv(384),
        chain(conv(192), conv(224, ROW), conv(256, COLUMN)),
        chain(conv(192), conv(192, COLUMN), conv(224, ROW), conv(224, COLUMN), conv(256, ROW)),
        chain(around(), conv(128)),
    )


def _b_halve() -> Layer:
    """Figure 8: 17x17 → 8x8."""
    return fork(
        chain(conv(192), valid(192, 3, 2)),
        chain(conv(256), conv(256, ROW), conv(320, COLUMN), valid(320, 3, 2)),
        halve(),
    )


def _c() -> Layer:
    """Figure 6: 8x8."""
    both = fork(conv(256, (1, 3)), conv(256, (3, 1)))
    return fork(
        conv(256),
        chain(conv(384), both),
        chain(conv(384), conv(448, (3, 1)), conv(512, (1, 3)), both),
        chain(around(), conv(256)),
    )


inception_v4 = network(
    ("conv_1a", valid(32, 3, 2)),
    ("conv_2a", valid(32, 3)),
    ("conv_2b", conv(64, 3)),
    ("mixed_3a", fork(halve(), valid(96, 3, 2))),
    ("mixed_4a", _stem_4a()),
    ("mixed_5a", fork(valid(192, 3, 2), halve())),
    *((f"mixed_5{i}", _a()) for i in "bcde"),
    ("mixed_6a", _a_halve(192, 224, 256, 384)),
    *((f"mixed_6{i}", _b()) for i in "bcdefgh"),
    ("mixed_7a", _b_halve()),
    *((f"mixed_7{i}", _c()) for i in "bcd"),
    dropout=0.2,
)


def _residual(*branches: Layer, scale: float, act: Act | None = "relu") -> Layer:
    """act(x + scale · project(concat of branches)); project has a bias and no batch norm."""

    def added(x: Tensor) -> Tensor:
        y = fork(*branches)(x)
        y = y.conv(x.channels, bias=True, norm=False, act=None, name="project")
        y = x + (y if scale == 1 else y * scale)
        return y.activate(act) if act else y

    return added


def _mixed_5b() -> Layer:
    return fork(
        conv(96),
        chain(conv(48), conv(64, 5)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(around(), conv(64)),
    )


def _block35() -> Layer:
    """Figure 16."""
    return _residual(
        conv(32),
        chain(conv(32), conv(32, 3)),
        chain(conv(32), conv(48, 3), conv(64, 3)),
        scale=0.17,
    )


def _block17() -> Layer:
    """Figure 17."""
    return _residual(
        conv(192),
        chain(conv(128), conv(160, ROW), conv(192, COLUMN)),
        scale=0.10,
    )


def _mixed_7a() -> Layer:
    """Figure 18."""
    return fork(
        chain(conv(256), valid(384, 3, 2)),
        chain(conv(256), valid(288, 3, 2)),
        chain(conv(256), conv(288, 3), valid(320, 3, 2)),
        halve(),
    )


def _block8(scale: float = 0.20, act: Act | None = "relu") -> Layer:
    """Figure 19; the last one neither scales nor activates."""
    return _residual(
        conv(192),
        chain(conv(192), conv(224, (1, 3)), conv(256, (3, 1))),
        scale=scale,
        act=act,
    )


inception_resnet_v2 = network(
    *STEM,
    ("mixed_5b", _mixed_5b()),
    *((f"block35_{i}", _block35()) for i in range(1, 11)),
    ("mixed_6a", _a_halve(256, 256, 384, 384)),
    *((f"block17_{i}", _block17()) for i in range(1, 21)),
    ("mixed_7a", _mixed_7a()),
    *((f"block8_{i}", _block8()) for i in range(1, 10)),
    ("block8_10", _block8(scale=1, act=None)),
    ("conv_7b", conv(1536)),
    dropout=0.2,
)

NETWORKS = (
    Published("inception_v4", "1602.07261", inception_v4, resolution=299, top1=80.0),
    Published("inception_resnet_v2", "1602.07261", inception_resnet_v2, resolution=299, top1=80.1),
)
