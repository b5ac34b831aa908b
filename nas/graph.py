"""A network as frozen data: calls on symbolic tensors record a graph of primitive layers.

Layers are interned and fragments of a network recorded once, so that a network of a hundred layers
is recorded in a fraction of a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, update_wrapper
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from nas.layers import (
    Act,
    Activate,
    Add,
    ChannelPool,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Input,
    Layer,
    Linear,
    Multiply,
    Norm,
    Pair,
    Pool,
    Scale,
    Shape,
    Shuffle,
    Slice,
    SumHeight,
)


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
    but for the first, and the attention of a space's blocks takes a few thousand forms. The
    settings must be hashable. `name` prefixes the paths of all that the function records.
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
    @lru_cache(maxsize=2**12)
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
