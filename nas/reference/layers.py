"""The vocabulary of the Inception papers' figures: layers in a row, and forks of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from nas.graph import Tensor, concat, fragment
from nas.layers import Act, Pair
from nas.reference.base import Network

Layer: TypeAlias = Callable[[Tensor], Tensor]
Row: TypeAlias = tuple[str, Layer]  # a layer and its name in paths


def conv(
    width: int,
    kernel: int | Pair = 1,
    stride: int = 1,
    *,
    valid: bool = False,
    bias: bool = False,
    act: Act | None = "relu",
) -> Layer:
    """Convolution, batch norm, activation; `valid` is without padding."""
    h, w = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return partial(
        Tensor.conv,
        width=width,
        kernel=(h, w),
        stride=stride,
        padding=0 if valid else None,
        bias=bias,
        act=act,
        name=f"conv{h}x{w}",
    )


def pool(
    kind: Literal["max", "avg"],
    kernel: int,
    stride: int,
    *,
    padding: int = 0,
    ceil: bool = False,
    count_padding: bool = True,
) -> Layer:
    """Pooling, without padding unless some is given."""
    return partial(
        Tensor.pool,
        kind=kind,
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil=ceil,
        count_padding=count_padding,
    )


def chain(*layers: Layer) -> Layer:
    """Layers one after the other."""

    def chained(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    return chained


def fork(*branches: Layer) -> Layer:
    """concat of all branches of x; their paths are numbered."""

    def forked(x: Tensor) -> Tensor:
        return concat(*(_named(x, branch, name=str(i)) for i, branch in enumerate(branches)))

    return forked


def network(*rows: Row, dropout: float) -> Network:
    """The layers of all rows, global average, dropout, linear."""

    def classified(x: Tensor, classes: int) -> Tensor:
        for name, layer in rows:
            x = _named(x, layer, name=name)
        return x.global_pool().dropout(dropout).linear(classes, name="classifier")

    return classified


@fragment
def _named(x: Tensor, layer: Layer) -> Tensor:
    return layer(x)
