"""A network as frozen data: calls on symbolic tensors record a graph of primitive layers.

Shapes are (channels, height, width) of one image, without the batch. `params` are all learnable
numbers of a layer, `macs` its multiply–accumulates for one image (see `nas.cost` for the
convention). Layers are interned, so that recording a network costs about two microseconds a node.

A convolution carries its batch norm and activation: every back end fuses the three, and no
network of the field needs them apart where they follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from math import ceil, prod
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

Shape: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[int, int]
Activation: TypeAlias = Literal["relu", "relu6", "hswish", "silu"]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid", "clamp"]
Act: TypeAlias = Activation | Gate
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


class Layer:
    """A primitive: hyper-parameters, and from them its output's shape and its cost.

    `in_place` says that the output may take the memory of an input that nobody needs any more,
    `free` that the layer vanishes at inference or in the layer before it.
    """

    __slots__ = ()
    in_place: ClassVar[bool] = False
    free: ClassVar[bool] = False

    @property
    def params(self) -> int:
        """Learnable parameters."""
        return 0

    def macs(self, out: Shape) -> int:
        """Multiply–accumulates for one image, from the output's shape."""
        return 0

    def shape(self, *inputs: Shape) -> Shape:
        """The output's shape; layers that keep their input's shape need not say so."""
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Input(Layer):
    """Where an image enters."""

    size: Shape

    def shape(self, *inputs: Shape) -> Shape:
        return self.size


@dataclass(frozen=True, slots=True)
class Conv(Layer):
    """Grouped 2-d convolution [+ bias] [+ batch norm] [+ activation].

    weights = out · in/groups · kh · kw, and every output position takes each weight once.
    """

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
        return self.outputs, (h + 2 * ph - kh) // s + 1, (w + 2 * pw - kw) // s + 1


@dataclass(frozen=True, slots=True)
class Linear(Layer):
    """Fully connected layer on a vector, a tensor of shape (c, 1, 1)."""

    inputs: int
    outputs: int
    bias: bool
    act: Act | None

    @property
    def params(self) -> int:
        return self.outputs * (self.inputs + self.bias)

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
        k = 0 if self.axis == "channels" else 1
        if len({s[:k] + s[k + 1 :] for s in inputs}) != 1:
            raise ValueError(f"concat along the {self.axis} cannot join {inputs}")
        return tuple(sum(s[k] for s in inputs) if d == k else n for d, n in enumerate(inputs[0]))  # type: ignore[return-value]


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

    factory: Callable[[int], Any]
    out: Shape
    measured_params: int
    measured_macs: int

    @property
    def params(self) -> int:
        return self.measured_params

    def macs(self, out: Shape) -> int:
        return self.measured_macs

    def shape(self, *inputs: Shape) -> Shape:
        return self.out

    def __repr__(self) -> str:  # the factory's address must not enter an architecture's id
        name = f"{self.factory.__module__}:{self.factory.__qualname__}"
        return f"Module({name}, {self.out}, {self.params}, {self.measured_macs})"


class Node(NamedTuple):
    """A layer applied: inputs by index, the output's shape, a path such as stages.1.0.expand."""

    layer: Layer
    inputs: tuple[int, ...]
    shape: Shape
    path: str


class Graph(NamedTuple):
    """Nodes in the order of recording, which is topological; the last one is the output."""

    nodes: tuple[Node, ...]

    @property
    def input(self) -> Shape:
        return self.nodes[0].shape

    @property
    def output(self) -> Shape:
        return self.nodes[-1].shape


class Tensor:
    """A symbolic tensor; every method records a node and returns the new tensor.

    `name` becomes the last part of the node's path and so of the torch module's name. Give one to
    each layer with weights; names that occur twice in a scope are numbered.
    """

    __slots__ = ("_recorder", "index", "shape")

    def __init__(self, recorder: _Recorder, index: int, shape: Shape) -> None:
        self._recorder = recorder
        self.index = index
        self.shape = shape

    @property
    def channels(self) -> int:
        return self.shape[0]

    def conv(
        self,
        width: int,
        kernel: int | Pair = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        padding: int | Pair | None = None,
        bias: bool = False,
        norm: bool = True,
        act: Act | None = "relu",
        name: str = "conv",
    ) -> Tensor:
        """Convolution to `width` channels; padded to keep the size at stride 1 by default."""
        layer = _conv(self.shape[0], width, kernel, stride, padding, groups, bias, norm, act)
        return self._recorder.add(layer, (self,), name)

    def depthwise(
        self,
        kernel: int,
        stride: int = 1,
        *,
        act: Act | None = "relu",
        norm: bool = True,
        multiplier: int = 1,
        name: str = "depthwise",
    ) -> Tensor:
        """One filter a channel (`multiplier` filters, if more)."""
        c = self.shape[0]
        layer = _conv(c, c * multiplier, kernel, stride, None, c, False, norm, act)
        return self._recorder.add(layer, (self,), name)

    def linear(
        self, width: int, *, bias: bool = True, act: Act | None = None, name: str = "linear"
    ) -> Tensor:
        """Fully connected layer on a pooled tensor."""
        return self._recorder.add(Linear(self.shape[0], width, bias, act), (self,), name)

    def pool(
        self,
        kind: Literal["max", "avg"],
        kernel: int,
        stride: int,
        *,
        padding: int | None = None,
        ceil: bool = False,
        count_padding: bool = True,
        name: str = "pool",
    ) -> Tensor:
        """Pooling; padded to keep the size at stride 1 by default."""
        padding = kernel // 2 if padding is None else padding
        layer = Pool(kind, kernel, stride, padding, ceil, count_padding)
        return self._recorder.add(layer, (self,), name)

    def global_pool(self, kind: Literal["max", "avg"] = "avg", name: str = "pool") -> Tensor:
        return self._recorder.add(_global_pool(kind), (self,), name)

    def channel_pool(self, kind: Literal["max", "avg"], name: str = "channel_pool") -> Tensor:
        return self._recorder.add(ChannelPool(kind), (self,), name)

    def sum_height(self, name: str = "sum") -> Tensor:
        return self._recorder.add(SumHeight(), (self,), name)

    def activate(self, act: Act, name: str = "act") -> Tensor:
        return self._recorder.add(Activate(act), (self,), name)

    def scale(self, gate: Tensor, name: str = "scale") -> Tensor:
        return self._recorder.add(_SCALE, (self, gate), name)

    def shuffle(self, groups: int, name: str = "shuffle") -> Tensor:
        return self._recorder.add(Shuffle(groups), (self,), name)

    def slice(self, start: int, stop: int, name: str = "slice") -> Tensor:
        return self._recorder.add(Slice(start, stop), (self,), name)

    def dropout(self, rate: float, name: str = "dropout") -> Tensor:
        return self._recorder.add(Dropout(rate), (self,), name) if rate else self

    def module(self, factory: Callable[[int], Any], name: str = "module") -> Tensor:
        """Any torch module of one input; see `Module`."""
        from nas.verify import measure_module  # imports torch, so only where one is asked for

        return self._recorder.add(measure_module(factory, self.shape), (self,), name)

    def __add__(self, other: Tensor) -> Tensor:
        return self._recorder.add(_ADD, (self, other), "add")


def concat(
    *tensors: Tensor, axis: Literal["channels", "height"] = "channels", name: str = "concat"
) -> Tensor:
    """Tensors one after the other along an axis; a single tensor is returned as it is."""
    if len(tensors) == 1:
        return tensors[0]
    return tensors[0]._recorder.add(Concat(axis), tensors, name)


@contextmanager
def scope(x: Tensor, name: str) -> Iterator[None]:
    """Prefix the paths of all that is recorded within."""
    recorder, outer = x._recorder, x._recorder.prefix
    recorder.prefix = f"{outer}{name}."
    try:
        yield
    finally:
        recorder.prefix = outer


class _Recorder:
    __slots__ = ("nodes", "paths", "prefix")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.paths: set[str] = set()
        self.prefix = ""

    def add(self, layer: Layer, inputs: tuple[Tensor, ...], name: str) -> Tensor:
        path = self.prefix + name
        if path in self.paths:
            path = next(p for n in range(1, 10**6) if (p := f"{path}_{n}") not in self.paths)
        self.paths.add(path)
        shape = layer.shape(*[x.shape for x in inputs])
        if shape[1] < 1 or shape[2] < 1:
            h, w = inputs[0].shape[1:]
            raise ValueError(f"{path}: a map of {h}x{w} is too small for {layer}")
        self.nodes.append(Node(layer, tuple([x.index for x in inputs]), shape, path))
        return Tensor(self, len(self.nodes) - 1, shape)


def record(size: Shape, network: Callable[[Tensor], Tensor]) -> Graph:
    """The graph of `network` applied to an image of shape `size`."""
    recorder = _Recorder()
    out = network(recorder.add(Input(size), (), "input"))
    if out.index != len(recorder.nodes) - 1:
        raise ValueError(f"the network's output must be its last layer, but got {out.index=}")
    return Graph(tuple(recorder.nodes))


@lru_cache(maxsize=2**16)
def _conv(
    inputs: int,
    outputs: int,
    kernel: int | Pair,
    stride: int,
    padding: int | Pair | None,
    groups: int,
    bias: bool,
    norm: bool,
    act: Act | None,
) -> Conv:
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    if padding is None:
        padding = (kernel[0] // 2, kernel[1] // 2)
    padding = padding if isinstance(padding, tuple) else (padding, padding)
    return Conv(inputs, outputs, kernel, stride, padding, groups, bias, norm, act)


@cache
def _global_pool(kind: Literal["max", "avg"]) -> GlobalPool:
    return GlobalPool(kind)


_ADD, _SCALE = Add(), Scale()


def elements(shape: Shape) -> int:
    """How many numbers a tensor of this shape holds."""
    return prod(shape)
