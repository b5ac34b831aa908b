"""A graph as a torch module: one lowering a primitive layer, printed as ordinary Python.

A node's path is its submodule's name: the convolution recorded at stages.1.0.expand has its
weight at stages.1.0.expand.conv.weight, its batch norm at stages.1.0.expand.norm, a linear layer
its weight at head.classifier.linear.weight. What has no state is an expression of `forward`.
Nothing depends on the size of a map, so one module runs at every resolution.

    input (batch, c, h, w) → output (batch, classes) where the graph ends in (classes, 1, 1)
                             output (batch, c, h, w) elsewhere

A new primitive joins by `@lower.register`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeAlias

import torch
from torch import fx, nn

from nas.arch import Architecture, trace
from nas.graph import Graph, Node
from nas.layers import (
    ELEMENTWISE,
    EPSILON,
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
    Module,
    Multiply,
    Norm,
    Pool,
    Scale,
    Shuffle,
    Slice,
    SumHeight,
)

Value: TypeAlias = Any  # an fx.Proxy, a tensor of `forward`: (batch, c, h, w) or (batch, c)

# Whether a ReLU overwrites its input: its gradient needs its output alone. hswish and silu would
# have to copy their input for the gradient first, so in place they save nothing.
ACTIVATIONS: dict[Act, Callable[[bool], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": lambda _: nn.Hardswish(),
    "silu": lambda _: nn.SiLU(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "hard_sigmoid": lambda _: nn.Hardsigmoid(),
    "clamp": lambda _: nn.Hardtanh(0.0, 1.0),
}
RESERVED = frozenset((*dir(fx.GraphModule), *dir(nn.Module())))


def build(network: Graph | Architecture, seed: int | None = None) -> fx.GraphModule:
    """The torch module of a graph or an architecture, in training mode.

    Convolutions start from a normal distribution of variance 2/(outputs · kernel size), linear
    layers from normal(0, 0.01), biases from 0. The weights follow from `seed` and leave torch's
    random state as it was; without a seed they are drawn from that state. Raises ValueError where
    a path cannot name a submodule.
    """
    graph = trace(network) if isinstance(network, Architecture) else network
    code, modules, values = fx.Graph(), dict[str, nn.Module](), list[Value]()
    readers = Counter(i for node in graph.nodes for i in node.inputs)
    with seeded(seed):
        for node in graph.nodes:
            site = Site(code, modules, node, graph, readers)
            values.append(_lowered(site, [values[i] for i in node.inputs]))
    output = _vector(values[-1]) if graph.output[1:] == (1, 1) else values[-1]
    code.output(output.node)
    _check_names(modules)
    return fx.GraphModule(modules, code, class_name="Network")


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Torch's random state follows from a seed, if there is one, and is as before afterwards."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_names(paths: Iterable[str]) -> None:
    """Raise ValueError where a path cannot name a submodule beside the others."""
    paths = set(paths)
    for path in paths:
        parts = path.split(".")
        if not RESERVED.isdisjoint(parts):
            raise ValueError(f"{path}: torch modules have an attribute of that name already")
        for n in range(1, len(parts)):
            if (outer := ".".join(parts[:n])) in paths:
                raise ValueError(f"{path}: its name says that it lies within the layer {outer}")


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node is lowered to."""

    code: fx.Graph
    modules: dict[str, nn.Module]
    node: Node
    graph: Graph
    readers: Counter[int]

    @property
    def channels(self) -> int:
        """Channels of the first input."""
        return self.graph.nodes[self.node.inputs[0]].shape[0]

    @property
    def may_overwrite(self) -> bool:
        """Whether the input's memory is this layer's to take.

        It is where nobody else reads the input, its gradient does not need it, and it is no view
        of another tensor: sums and concatenations.
        """
        (i,) = self.node.inputs
        return self.readers[i] == 1 and isinstance(self.graph.nodes[i].layer, Add | Concat)

    def call(self, module: nn.Module, x: Value) -> Value:
        """x through a submodule that is named by the node's path."""
        self.modules[self.node.path] = module
        return fx.Proxy(self.code.call_module(self.node.path, (x.node,)), x.tracer)


def _lowered(site: Site, inputs: list[Value]) -> Value:
    """The node's value; only element-wise layers keep a vector (batch, c) as it is."""
    layer = site.node.layer
    keeps = isinstance(layer, ELEMENTWISE | Linear)
    value = lower(layer, site, *(x if keeps else _map(x) for x in inputs))
    vector = isinstance(layer, Linear) or (keeps and _is_vector(inputs[0]))
    value.node.meta["vector"] = vector
    return value


def _is_vector(x: Value) -> bool:
    return bool(x.node.meta.get("vector"))


def _vector(x: Value) -> Value:
    """(batch, c, 1, 1) → (batch, c)."""
    return x if _is_vector(x) else x.flatten(1)


def _map(x: Value) -> Value:
    """(batch, c) → (batch, c, 1, 1)."""
    return x.unflatten(1, (-1, 1, 1)) if _is_vector(x) else x


# One lowering a primitive ------------------------------------------------------------------------


@singledispatch
def lower(layer: Layer, site: Site, *inputs: Value) -> Value:
    """The value of `layer` applied to `inputs`, maps of shape (batch, c, h, w)."""
    raise TypeError(f"{site.node.path}: no torch lowering of {layer}; see nas.net.lower")


@lower.register
def _(layer: Input, site: Site) -> Value:
    return fx.Proxy(site.code.placeholder("image"))


@lower.register
def _(layer: Conv, site: Site, x: Value) -> Value:
    conv = nn.Conv2d(
        layer.inputs,
        layer.outputs,
        layer.kernel,
        layer.stride,
        layer.padding,
        groups=layer.groups,
        bias=layer.bias,
    )
    # torch counts all outputs as the fan-out of a grouped convolution, and so do the recipes of the
    # field; dividing by the groups gained nothing in brief trainings.
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    parts: dict[str, nn.Module] = {"conv": conv}
    if layer.norm:
        parts["norm"] = nn.BatchNorm2d(layer.outputs, eps=EPSILON)
    if layer.act:
        parts["act"] = ACTIVATIONS[layer.act](True)
    return site.call(_sequential(parts), x)


@lower.register
def _(layer: Linear, site: Site, x: Value) -> Value:
    linear = nn.Linear(layer.inputs, layer.outputs, layer.bias)
    nn.init.normal_(linear.weight, std=0.01)
    if layer.bias:
        nn.init.zeros_(linear.bias)
    parts: dict[str, nn.Module] = {"linear": linear}
    if layer.act:
        parts["act"] = ACTIVATIONS[layer.act](True)
    return site.call(_sequential(parts), _vector(x))


def _sequential(parts: dict[str, nn.Module]) -> nn.Sequential:
    sequential = nn.Sequential()
    for name, part in parts.items():
        sequential.add_module(name, part)
    return sequential


@lower.register
def _(layer: Pool, site: Site, x: Value) -> Value:
    window = (layer.kernel, layer.stride, layer.padding)
    if layer.kind == "max":
        return site.call(nn.MaxPool2d(*window, ceil_mode=layer.ceil), x)
    return site.call(nn.AvgPool2d(*window, layer.ceil, layer.count_padding), x)


@lower.register
def _(layer: GlobalPool, site: Site, x: Value) -> Value:
    return _reduce(x, layer.kind, (2, 3))


@lower.register
def _(layer: ChannelPool, site: Site, x: Value) -> Value:
    return _reduce(x, layer.kind, (1,))


def _reduce(x: Value, kind: str, axes: tuple[int, ...]) -> Value:
    return (x.mean if kind == "avg" else x.amax)(axes, keepdim=True)


@lower.register
def _(layer: SumHeight, site: Site, x: Value) -> Value:
    return x.sum(2, keepdim=True)


@lower.register
def _(layer: Activate, site: Site, x: Value) -> Value:
    return site.call(ACTIVATIONS[layer.act](site.may_overwrite), x)


@lower.register
def _(layer: Dropout, site: Site, x: Value) -> Value:
    return site.call(nn.Dropout(layer.rate), x)


@lower.register
def _(layer: Norm, site: Site, x: Value) -> Value:
    norm = (nn.BatchNorm1d if _is_vector(x) else nn.BatchNorm2d)(layer.channels, eps=EPSILON)
    if not layer.scale:
        norm.register_parameter("weight", None)  # batch norm then shifts only
    return site.call(norm, x)


@lower.register
def _(layer: Multiply, site: Site, x: Value) -> Value:
    return x * layer.factor


@lower.register
def _(layer: Add, site: Site, x: Value, y: Value) -> Value:
    return x + y


@lower.register
def _(layer: Scale, site: Site, x: Value, gate: Value) -> Value:
    return x * gate


@lower.register
def _(layer: Concat, site: Site, *inputs: Value) -> Value:
    return torch.cat(inputs, 1 if layer.axis == "channels" else 2)


@lower.register
def _(layer: Slice, site: Site, x: Value) -> Value:
    return x.narrow(1, layer.start, layer.stop - layer.start)


@lower.register
def _(layer: Shuffle, site: Site, x: Value) -> Value:
    # With the channels last, so that a tensor in that memory format stays in it: training takes
    # a fifth less than with unflatten(1, ...).
    y = x.permute(0, 2, 3, 1).unflatten(3, (layer.groups, -1))
    return y.transpose(3, 4).flatten(3).permute(0, 3, 1, 2)


@lower.register
def _(layer: Module, site: Site, x: Value) -> Value:
    return site.call(layer.factory(site.channels), x)
