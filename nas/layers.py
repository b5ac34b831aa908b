"""The primitive layers: hyper-parameters, and from them a layer's output shape and its cost.

Shapes are (channels, height, width) of one image, without the batch. `params` are all learnable
numbers of a layer, `macs` its multiply–accumulates for one image (see `nas.cost` for the
convention).

A convolution carries its batch norm and activation: every back end fuses the three, and no
network of the field needs them apart where they follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, prod
from typing import Any, ClassVar, Literal, TypeAlias

Shape: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[int, int]
Activation: TypeAlias = Literal["relu", "relu6", "hswish", "silu"]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid", "clamp"]
Act: TypeAlias = Activation | Gate
EPSILON = 1e-5  # added to the variance in every batch norm


class Layer:
    """A primitive: hyper-parameters, and from them its output's shape and its cost.

    `in_place` says that the output may take the memory of an input that nobody needs any more,
    `free` that the layer vanishes at inference or in the layer before it, `counted` that it has
    MACs and that its output counts as activations.
    """

    __slots__ = ()
    counted: ClassVar[bool] = False
    in_place: ClassVar[bool] = False
    free: ClassVar[bool] = False
    params: int = 0  # learnable ones

    def macs(self, out: Shape) -> int:
        """Multiply–accumulates for one image, from the output's shape."""
        return 0

    def shape(self, *inputs: Shape) -> Shape:
        """The output's shape; layers that keep their input's shape need not say so."""
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Input(Layer):
    """Where an image enters, or what a fragment is applied to: nothing is run."""

    free: ClassVar[bool] = True
    size: Shape

    def shape(self, *inputs: Shape) -> Shape:
        return self.size


@dataclass(frozen=True, slots=True)
class Conv(Layer):
    """Grouped 2-d convolution [+ bias] [+ batch norm] [+ activation].

    weights = out · in/groups · kh · kw, and every output position takes each weight once.
    """

    counted: ClassVar[bool] = True
    inputs: int
    outputs: int
    kernel: Pair
    stride: int
    padding: Pair
    groups: int
    bias: bool
    norm: bool
    act: Act | None
    weights: int = field(init=False, repr=False, compare=False)
    params: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.groups < 1 or min(self.kernel) < 1 or self.stride < 1:
            raise ValueError(f"expected positive groups, kernel and stride, but got {self}")
        if self.inputs % self.groups or self.outputs % self.groups:
            raise ValueError(
                f"groups must divide the channels of a convolution, "
                f"but got {self.groups=} {self.inputs=} {self.outputs=}"
            )
        weights = self.outputs * (self.inputs // self.groups) * self.kernel[0] * self.kernel[1]
        params = weights + self.outputs * (self.bias + 2 * self.norm)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "params", params)

    def macs(self, out: Shape) -> int:
        return self.weights * out[1] * out[2]

    def shape(self, *inputs: Shape) -> Shape:
        _, h, w = inputs[0]
        (kh, kw), (ph, pw), s = self.kernel, self.padding, self.stride
        if h + 2 * ph < kh or w + 2 * pw < kw:
            raise ValueError(f"a map of {h}x{w} is too small for a kernel of {kh}x{kw}")
        return self.outputs, (h + 2 * ph - kh) // s + 1, (w + 2 * pw - kw) // s + 1


@dataclass(frozen=True, slots=True)
class Linear(Layer):
    """Fully connected layer on a vector, a tensor of shape (c, 1, 1)."""

    counted: ClassVar[bool] = True
    inputs: int
    outputs: int
    bias: bool
    act: Act | None
    params: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", self.outputs * (self.inputs + self.bias))

    def macs(self, out: Shape) -> int:
        return self.inputs * self.outputs

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0] != (self.inputs, 1, 1):
            raise ValueError(f"linear expects ({self.inputs}, 1, 1), but got {inputs[0]}")
        return self.outputs, 1, 1


@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """Max or average pooling; padding never counts in an average unless `count_padding`."""

    kind: Literal["max", "avg"]
    kernel: int
    stride: int
    padding: int
    ceil: bool
    count_padding: bool

    def shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        return c, self._side(h), self._side(w)

    def _side(self, n: int) -> int:
        span = n + 2 * self.padding - self.kernel
        if span < 0:
            raise ValueError(f"a map of {n} rows or columns is too small for {self}")
        if not self.ceil:
            return span // self.stride + 1
        side = ceil(span / self.stride) + 1
        # A last window that would start in the right padding is dropped, as torch does.
        return side - ((side - 1) * self.stride >= n + self.padding)


@dataclass(frozen=True, slots=True)
class GlobalPool(Layer):
    """Average or maximum over all positions: (c, h, w) → (c, 1, 1)."""

    kind: Literal["max", "avg"]

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0][0], 1, 1


@dataclass(frozen=True, slots=True)
class ChannelPool(Layer):
    """Average or maximum over the channels: (c, h, w) → (1, h, w)."""

    kind: Literal["max", "avg"]

    def shape(self, *inputs: Shape) -> Shape:
        return 1, *inputs[0][1:]


@dataclass(frozen=True, slots=True)
class SumHeight(Layer):
    """Sum over the rows: (c, h, w) → (c, 1, w)."""

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0][0], 1, inputs[0][2]


@dataclass(frozen=True, slots=True)
class Activate(Layer):
    """An activation that follows no convolution, for example one after an addition."""

    in_place: ClassVar[bool] = True
    free: ClassVar[bool] = True
    act: Act


@dataclass(frozen=True, slots=True)
class Norm(Layer):
    """Batch norm that follows no convolution; without `scale` it learns a shift only."""

    in_place: ClassVar[bool] = True
    free: ClassVar[bool] = True
    channels: int
    scale: bool
    params: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", self.channels * (1 + self.scale))


@dataclass(frozen=True, slots=True)
class Multiply(Layer):
    """x · factor, a constant that an inference engine folds into the layer before it."""

    in_place: ClassVar[bool] = True
    free: ClassVar[bool] = True
    factor: float


@dataclass(frozen=True, slots=True)
class Add(Layer):
    """Element-wise sum of two tensors of one shape."""

    in_place: ClassVar[bool] = True

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0] != inputs[1]:
            raise ValueError(f"add expects equal shapes, but got {inputs[0]} and {inputs[1]}")
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Scale(Layer):
    """x · gate, the gate of shape (c, 1, 1) or (1, h, w) repeated over x."""

    def shape(self, *inputs: Shape) -> Shape:
        x, gate = inputs
        if gate not in ((x[0], 1, 1), (1, x[1], x[2])):
            raise ValueError(f"scale expects a gate for {x}, but got {gate}")
        return x


@dataclass(frozen=True, slots=True)
class Concat(Layer):
    """Tensors one after the other, along the channels or along the height."""

    axis: Literal["channels", "height"]

    def shape(self, *inputs: Shape) -> Shape:
        channels, height, width = inputs[0]
        for c, h, w in inputs[1:]:
            if w != width or (h != height if self.axis == "channels" else c != channels):
                raise ValueError(f"concat along the {self.axis} cannot join {inputs}")
            if self.axis == "channels":
                channels += c
            else:
                height += h
        return channels, height, width


@dataclass(frozen=True, slots=True)
class Slice(Layer):
    """Channels from `start` up to `stop`."""

    start: int
    stop: int

    def shape(self, *inputs: Shape) -> Shape:
        c, h, w = inputs[0]
        if not 0 <= self.start < self.stop <= c:
            raise ValueError(f"slice {self.start}:{self.stop} does not fit {c} channels")
        return self.stop - self.start, h, w


@dataclass(frozen=True, slots=True)
class Shuffle(Layer):
    """Channel shuffle: channels seen as (groups, c/groups) are transposed. arXiv:1707.01083."""

    groups: int

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0][0] % self.groups:
            raise ValueError(f"shuffle: {self.groups=} does not divide {inputs[0][0]} channels")
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Dropout(Layer):
    """Dropout in training, identity otherwise."""

    in_place: ClassVar[bool] = True
    free: ClassVar[bool] = True
    rate: float


@dataclass(frozen=True, slots=True)
class Module(Layer):
    """The escape hatch: any torch module of one input, its cost measured by fvcore.

    `factory(channels)` returns the nn.Module; it must be a function of a module, so that it can
    be named and sent to another process.
    """

    counted: ClassVar[bool] = True
    factory: Callable[[int], Any]
    out: Shape
    measured_macs: int
    params: int

    def macs(self, out: Shape) -> int:
        return self.measured_macs

    def shape(self, *inputs: Shape) -> Shape:
        return self.out

    def __repr__(self) -> str:  # the factory's address must not enter an architecture's id
        name = f"{self.factory.__module__}:{self.factory.__qualname__}"
        return f"Module({name}, {self.out}, {self.params}, {self.measured_macs})"


ELEMENTWISE = Activate | Dropout | Multiply | Norm  # maps and vectors alike


def elements(shape: Shape) -> int:
    """How many numbers a tensor of this shape holds."""
    return prod(shape)
