"""Pooling between stages, and the heads that end a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.blocks.base import Count, Rate, Whole, block, head
from nas.graph import Tensor
from nas.layers import Activation


@block(name="pool")
@dataclass(frozen=True, slots=True)
class PoolBlock:
    """Max or average pooling as a stage of its own; the stage's width must be its input's."""

    kind: Literal["max", "avg"] = "max"
    kernel: Count = 3
    padding: Whole = 1
    ceil: bool = False

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        if width != x.channels:
            raise ValueError(f"a pool keeps its {x.channels} channels, but got {width=}")
        return x.pool(self.kind, self.kernel, stride, padding=self.padding, ceil=self.ceil)


@head
@dataclass(frozen=True, slots=True)
class Classifier:
    """[1x1 convolution to `width`], global average, [linear to `hidden`], dropout, linear."""

    width: Whole = 0
    hidden: Whole = 0
    dropout: Rate = 0.0
    activation: Activation = "relu"

    def __call__(self, x: Tensor, classes: int) -> Tensor:
        if self.width:
            x = x.conv(self.width, act=self.activation, name="conv")
        x = x.global_pool()
        if self.hidden:
            x = x.linear(self.hidden, act=self.activation, name="hidden")
        return x.dropout(self.dropout).linear(classes, name="classifier")


@head
@dataclass(frozen=True, slots=True)
class Embedding:
    """Global average, dropout, linear to `width` without bias, batch norm with shift only.

    The head of a face-recognition network: it ends in a vector, so `classes` is not read.
    """

    width: Whole = 128
    dropout: Rate = 0.6

    def __call__(self, x: Tensor, classes: int) -> Tensor:
        x = x.global_pool().dropout(self.dropout)
        return x.linear(self.width, bias=False, name="embedding").norm(scale=False)


@head
@dataclass(frozen=True, slots=True)
class ConvClassifier:
    """Dropout, 1x1 convolution to the classes with bias, ReLU, global average: SqueezeNet's."""

    dropout: Rate = 0.5

    def __call__(self, x: Tensor, classes: int) -> Tensor:
        x = x.dropout(self.dropout)
        return x.conv(classes, bias=True, norm=False, name="classifier").global_pool()
