"""A network as frozen data: calls on symbolic tensors record a graph of primitive layers.

Shapes are (channels, height, width) of one image, without the batch. `params` are all learnable
numbers of a layer, `macs` its multiply–accumulates for one image (see `nas.cost` for the
convention). Layers are interned, so that recording a network costs about two microseconds a node.

A convolution carries its batch norm and activation: every back end fuses the three, and no
network of the field needs them apart where they follow each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, update_wrapper
from itertools import count
from math import ceil, prod
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, get_args

Shape: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[int, int]
Activation: TypeAlias = Literal["relu", "relu6", "hswish", "silu"]
Gate: TypeAlias = Literal["sigmoid", "hard_sigmoid", "clamp"]
Act: TypeAlias = Activation | Gate
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
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

    @property
    def params(self) -> int:
        return self.channels * (1 + self.scale)


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


class Graph:
    """Nodes in the order of recording, which is topological; the last one is the output.

    `items` is what was recorded: nodes, and fragments, which are graphs recorded once and used in
    several places (see `fragment`). `nodes` is the same with fragments written out.
    """

    __slots__ = ("_nodes", "items")

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items
        self._nodes: tuple[Node, ...] | None = None

    @property
    def input(self) -> Shape:
        return self.items[0][2]

    @property
    def output(self) -> Shape:
        return self.items[-1][2]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All layers, flat, every path once."""
        if self._nodes is None:
            nodes: list[Node] = []
            self._write(nodes, None, "", set())
            self._nodes = tuple(nodes)
        return self._nodes

    def _write(self, nodes: list[Node], entry: int | None, prefix: str, paths: set[str]) -> int:
        """Append all nodes; a fragment's input is the node `entry`. Returns the output's index."""
        index: list[int] = []
        for layer, inputs, shape, name in self.items:
            if entry is not None and not index:
                index.append(entry)
                continue
            path, ins = prefix + name, tuple([index[j] for j in inputs])
            if isinstance(layer, Graph):
                index.append(layer._write(nodes, ins[0], path, paths))
                continue
            path = _unique(path, paths)
            paths.add(path)
            index.append(len(nodes))
            nodes.append(Node(layer, ins, shape, path))
        return index[-1]


# (a layer or a fragment, inputs by index, the output's shape, path or a fragment's prefix)
Item: TypeAlias = tuple[Layer | Graph, tuple[int, ...], Shape, str]


class Tensor:
    """A symbolic tensor; every method records a node and returns the new tensor.

    `name` becomes the last part of the node's path and so of the torch module's name. Give one to
    each layer with weights; names that occur twice in a scope are numbered.
    """

    __slots__ = ("_items", "index", "shape")

    def __init__(self, items: list[Item], index: int, shape: Shape) -> None:
        self._items = items  # of the recording that this tensor is part of
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
        shape = self.shape
        layer = _conv(shape[0], width, kernel, stride, padding, groups, bias, norm, act)
        return _add(self._items, layer, (self.index,), layer.shape(shape), name)

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
        shape = self.shape
        c = shape[0]
        layer = _conv(c, c * multiplier, kernel, stride, None, c, False, norm, act)
        return _add(self._items, layer, (self.index,), layer.shape(shape), name)

    def linear(
        self, width: int, *, bias: bool = True, act: Act | None = None, name: str = "linear"
    ) -> Tensor:
        """Fully connected layer on a pooled tensor."""
        return _apply(name, Linear, (self.shape[0], width, bias, act), self)

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
        return _apply(name, Pool, (kind, kernel, stride, padding, ceil, count_padding), self)

    def global_pool(self, kind: Literal["max", "avg"] = "avg", name: str = "pool") -> Tensor:
        return _apply(name, GlobalPool, (kind,), self)

    def channel_pool(self, kind: Literal["max", "avg"], name: str = "channel_pool") -> Tensor:
        return _apply(name, ChannelPool, (kind,), self)

    def sum_height(self, name: str = "sum") -> Tensor:
        return _apply(name, SumHeight, (), self)

    def activate(self, act: Act, name: str = "act") -> Tensor:
        return _apply(name, Activate, (act,), self)

    def norm(self, *, scale: bool = True, name: str = "norm") -> Tensor:
        """Batch norm on its own; convolutions carry theirs."""
        return _apply(name, Norm, (self.shape[0], scale), self)

    def scale(self, gate: Tensor, name: str = "scale") -> Tensor:
        return _apply(name, Scale, (), self, gate)

    def shuffle(self, groups: int, name: str = "shuffle") -> Tensor:
        return _apply(name, Shuffle, (groups,), self)

    def slice(self, start: int, stop: int, name: str = "slice") -> Tensor:
        return _apply(name, Slice, (start, stop), self)

    def dropout(self, rate: float, name: str = "dropout") -> Tensor:
        return _apply(name, Dropout, (rate,), self) if rate else self

    def module(self, factory: Callable[[int], Any], name: str = "module") -> Tensor:
        """Any torch module of one input; see `Module`."""
        from nas.verify import measure_module  # imports torch, so only where one is asked for

        layer = measure_module(factory, self.shape)
        return _add(self._items, layer, (self.index,), layer.out, name)

    def __add__(self, other: Tensor) -> Tensor:
        return _apply("add", Add, (), self, other)

    def __mul__(self, factor: float) -> Tensor:
        return _apply("multiply", Multiply, (factor,), self)


def concat(
    *tensors: Tensor, axis: Literal["channels", "height"] = "channels", name: str = "concat"
) -> Tensor:
    """Tensors one after the other along an axis; a single tensor is returned as it is."""
    return tensors[0] if len(tensors) == 1 else _apply(name, Concat, (axis,), *tensors)


def record(size: Shape, network: Callable[[Tensor], Tensor]) -> Graph:
    """The graph of `network` applied to an image of shape `size`."""
    items: list[Item] = []
    out = network(_add(items, Input(size), (), size, "input"))
    if out.index != len(items) - 1:
        raise ValueError(f"the network's output must be its last layer, but got {out.index=}")
    return Graph(tuple(items))


def fragment(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `function(x, *settings)` be recorded once for each input shape and settings.

    Elsewhere what was recorded is used again, and so is its cost: the blocks of a stage are equal
    but for the first. Few are kept, since what lies in the processor's own cache is worth more than
    a hit among many. The settings must be hashable. `name` prefixes the paths of all that the
    function records.
    """
    recorded = _recorder_of(function)

    def applied(x: Tensor, *settings: Any, name: str = "") -> Tensor:
        graph = recorded(x.shape, settings)
        if len(graph.items) == 1:  # the function returned its input
            return x
        prefix = f"{name}." if name else ""
        return _add(x._items, graph, (x.index,), graph.items[-1][2], prefix)

    return update_wrapper(applied, function)


def _recorder_of(
    function: Callable[..., Tensor],
) -> Callable[[Shape, tuple[Any, ...]], Graph]:
    @lru_cache(maxsize=2**7)
    def recorded(shape: Shape, settings: tuple[Any, ...]) -> Graph:
        return record(shape, lambda x: function(x, *settings))

    return recorded


def _add(
    items: list[Item], layer: Layer | Graph, inputs: tuple[int, ...], shape: Shape, name: str
) -> Tensor:
    items.append((layer, inputs, shape, name))
    return Tensor(items, len(items) - 1, shape)


def _apply(name: str, cls: type[Layer], settings: tuple[Any, ...], *inputs: Tensor) -> Tensor:
    layer = _interned(cls, settings)  # type: ignore[arg-type]  # a class is no Hashable
    shape = layer.shape(*[x.shape for x in inputs])
    return _add(inputs[0]._items, layer, tuple([x.index for x in inputs]), shape, name)


@lru_cache(maxsize=2**12)
def _interned(cls: type[Layer], settings: tuple[Any, ...]) -> Layer:
    return cls(*settings)


@lru_cache(maxsize=2**14)
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


def _unique(path: str, paths: set[str]) -> str:
    if path not in paths:
        return path
    return next(p for n in count(1) if (p := f"{path}_{n}") not in paths)


def elements(shape: Shape) -> int:
    """How many numbers a tensor of this shape holds."""
    return prod(shape)
