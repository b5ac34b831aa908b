"""A layer as Python: one constructor a layer that is a module, one expression any other.

A new primitive joins by `@constructor.register` or `@expression.register`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, TypeAlias

from nas.errors import InputError
from nas.exporting.source.calls import Arg, Call, Hole
from nas.layers import (
    Act,
    Activate,
    Add,
    ChannelPool,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
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

MODULES: dict[Act, str] = {
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "hswish": "nn.Hardswish",
    "silu": "nn.SiLU",
    "sigmoid": "nn.Sigmoid",
    "hard_sigmoid": "nn.Hardsigmoid",
    "clamp": "Clamp",
}
FUNCTIONS: dict[Act, str] = {
    "relu": "F.relu({})",
    "relu6": "F.relu6({})",
    "hswish": "F.hardswish({})",
    "silu": "F.silu({})",
    "sigmoid": "torch.sigmoid({})",
    "hard_sigmoid": "F.hardsigmoid({})",
    "clamp": "{}.clamp(0.0, 1.0)",
}
# The value of a layer that is no module: {0}, {1}… stand for its inputs, or {all} for all of
# them, and the numbers after them for holes.
Text: TypeAlias = tuple[str, tuple[Hole, ...]]


@singledispatch
def constructor(layer: Layer, vector: bool = False) -> Call | None:
    """How the layer's module is made, for (batch, c) where `vector`; None of an expression."""
    return None


@constructor.register
def _(layer: Conv, vector: bool = False) -> Call:
    half = (layer.kernel[0] // 2, layer.kernel[1] // 2)
    padding = (_option("padding", "padding", layer.padding, None),) * (layer.padding != half)
    args = (
        Arg(Hole("width", "inputs", layer.inputs)),
        Arg(Hole("width", "outputs", layer.outputs)),
        Arg(Hole("kernel", "kernel", layer.kernel), default="1"),
        _option("stride", "stride", layer.stride, "1"),
        _option("width", "groups", layer.groups, "1"),
        _option("act", "act", layer.act, "None"),
        *padding,
        _option("flag", "bias", layer.bias, "False"),
        _option("flag", "norm", layer.norm, "True"),
    )
    return Call("conv", args)


def _option(kind: str, name: str, value: Any, default: str | None) -> Arg:
    return Arg(Hole(kind, name, value), name, default)


@constructor.register
def _(layer: Linear, vector: bool = False) -> Call:
    args = (
        Arg(Hole("width", "inputs", layer.inputs)),
        Arg(Hole("width", "outputs", layer.outputs)),
        _option("act", "act", layer.act, "None"),
        _option("flag", "bias", layer.bias, "True"),
    )
    return Call("linear", args)


@constructor.register
def _(layer: Pool, vector: bool = False) -> Call:
    window = (
        Arg(Hole("kernel", "kernel", (layer.kernel, layer.kernel))),
        Arg(Hole("stride", "stride", layer.stride)),
        Arg(Hole("padding", "padding", (layer.padding, layer.padding)), default="0"),
    )
    ceil = _option("flag", "ceil_mode", layer.ceil, "False")
    if layer.kind == "max":
        return Call("nn.MaxPool2d", (*window, ceil))
    counted = _option("flag", "count_include_pad", layer.count_padding, "True")
    return Call("nn.AvgPool2d", (*window, ceil, counted))


@constructor.register
def _(layer: Dropout, vector: bool = False) -> Call:
    return Call("nn.Dropout", (Arg(Hole("rate", "rate", layer.rate)),))


@constructor.register
def _(layer: Norm, vector: bool = False) -> Call:
    name = f"nn.BatchNorm{1 if vector else 2}d"
    norm = Call(name, (Arg(Hole("width", "channels", layer.channels)),))
    return norm if layer.scale else Call("shift", (Arg(norm),))


@constructor.register
def _(layer: Module, vector: bool = False) -> Call:
    raise InputError(
        f"{layer!r} is a user's torch module, of which no Python file can be written; write it "
        f"with the methods of nas.graph.Tensor, or export to pt2"
    )


@singledispatch
def expression(layer: Layer, channels: int) -> Text:
    """The layer's value, its first input having so many channels."""
    raise TypeError(f"no Python text for {layer}; see nas.exporting.source.layers")


@expression.register
def _(layer: Activate, channels: int) -> Text:
    return FUNCTIONS[layer.act].format("{0}"), ()


@expression.register
def _(layer: Add, channels: int) -> Text:
    return "{0} + {1}", ()


@expression.register
def _(layer: Scale, channels: int) -> Text:
    return "{0} * {1}", ()


@expression.register
def _(layer: Multiply, channels: int) -> Text:
    return "{0} * {1}", (Hole("factor", "factor", layer.factor),)


@expression.register
def _(layer: Concat, channels: int) -> Text:
    return f"torch.cat([{{all}}], {1 if layer.axis == 'channels' else 2})", ()


@expression.register
def _(layer: GlobalPool, channels: int) -> Text:
    return f"{{0}}.{_reduction(layer)}((2, 3), keepdim=True)", ()


@expression.register
def _(layer: ChannelPool, channels: int) -> Text:
    return f"{{0}}.{_reduction(layer)}(1, keepdim=True)", ()


def _reduction(layer: GlobalPool | ChannelPool) -> str:
    return "mean" if layer.kind == "avg" else "amax"


@expression.register
def _(layer: SumHeight, channels: int) -> Text:
    return "{0}.sum(2, keepdim=True)", ()


@expression.register
def _(layer: Slice, channels: int) -> Text:
    start, stop = (Hole("width", n, getattr(layer, n)) for n in ("start", "stop"))
    if layer.start == 0:
        return "{0}[:, : {1}]", (stop,)
    if layer.stop == channels:
        return "{0}[:, {1} :]", (start,)
    return "{0}[:, {1} : {2}]", (start, stop)


@expression.register
def _(layer: Shuffle, channels: int) -> Text:
    return "shuffle({0}, {1})", (Hole("groups", "groups", layer.groups),)
