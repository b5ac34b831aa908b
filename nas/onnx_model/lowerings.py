"""One lowering a primitive: the operators that a layer is to ONNX."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.layers import (
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
from nas.onnx_model.model import Site
from nas.onnx_model.weights import Array

# (operator, attributes, constant inputs)
ACTIVATIONS: dict[Act, tuple[str, dict[str, float], tuple[float, ...]]] = {
    "relu": ("Relu", {}, ()),
    "relu6": ("Clip", {}, (0.0, 6.0)),
    "hswish": ("HardSwish", {}, ()),
    "sigmoid": ("Sigmoid", {}, ()),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, ()),
    "clamp": ("Clip", {}, (0.0, 1.0)),
}


@singledispatch
def lower(layer: Layer, site: Site, *inputs: str) -> str:
    """Add the operators of `layer` applied to `inputs`; returns the name of its value."""
    raise TypeError(f"{site.node.path}: no ONNX lowering of {layer}; see nas.onnx_model.lower")


@lower.register
def _(layer: Input, site: Site) -> str:
    return "image"


@lower.register
def _(layer: Conv, site: Site, x: str) -> str:
    shape = (layer.outputs, layer.inputs // layer.groups, *layer.kernel)
    weight = site.weight("conv.weight", shape, gain=2 if layer.act else 1)
    bias = site.numbers("conv.bias", layer.outputs, 0) if layer.bias else None
    if layer.norm:
        scale, shift = _norm(site, "norm.", layer.outputs)
        weight = weight * scale[:, None, None, None]
        bias = shift if bias is None else bias * scale + shift
    inputs = [x, site.constant("weight", weight)]
    if bias is not None:
        inputs.append(site.constant("bias", bias))
    y = site.op(
        "Conv",
        *inputs,
        part="conv",
        kernel_shape=layer.kernel,
        strides=(layer.stride, layer.stride),
        pads=layer.padding * 2,
        group=layer.groups,
    )
    return _activate(site, layer.act, y)


def _norm(site: Site, prefix: str, channels: int, scaled: bool = True) -> tuple[Array, Array]:
    """Batch norm in evaluation as x · scale + shift."""
    variance = site.numbers(f"{prefix}running_var", channels, 1)
    scale = 1 / np.sqrt(variance + np.float32(EPSILON))
    if scaled:
        scale = scale * site.numbers(f"{prefix}weight", channels, 1)
    mean = site.numbers(f"{prefix}running_mean", channels, 0)
    return scale, site.numbers(f"{prefix}bias", channels, 0) - mean * scale


def _activate(site: Site, act: Act | None, x: str) -> str:
    if act is None:
        return x
    if act == "silu":  # ONNX has no such operator
        return site.op("Mul", x, site.op("Sigmoid", x, part="sigmoid"), part="act")
    kind, attributes, limits = ACTIVATIONS[act]
    numbers = [site.constant(f"limit{i}", np.array(v, np.float32)) for i, v in enumerate(limits)]
    return site.op(kind, x, *numbers, part="act", **attributes)


@lower.register
def _(layer: Linear, site: Site, x: str) -> str:
    weight = site.weight("linear.weight", (layer.outputs, layer.inputs), gain=2 if layer.act else 1)
    inputs = [site.vector(x), site.constant("weight", weight)]
    if layer.bias:
        inputs.append(site.constant("bias", site.numbers("linear.bias", layer.outputs, 0)))
    return _activate(site, layer.act, site.op("Gemm", *inputs, part="linear", transB=1))


@lower.register
def _(layer: Norm, site: Site, x: str) -> str:
    scale, shift = _norm(site, "", layer.channels, layer.scale)
    sides = () if x in site.model.vectors else (1, 1)
    y = site.op("Mul", x, site.constant("scale", scale.reshape(-1, *sides)), part="scaled")
    return site.op("Add", y, site.constant("shift", shift.reshape(-1, *sides)))


@lower.register
def _(layer: Pool, site: Site, x: str) -> str:
    """Padding at the end reaches as far as the last window does, so that no engine rounds up."""
    p, inner = layer.padding, site.shapes[0][1:]
    reach = [(out - 1) * layer.stride + layer.kernel for out in site.node.shape[1:]]
    ends = [max(p, need - n - p) for need, n in zip(reach, inner, strict=True)]
    window: dict[str, Any] = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
    if layer.kind == "max":
        return site.op("MaxPool", x, pads=[p, p, *ends], **window)
    if layer.count_padding and p:
        # Zeros of the padding count, what a last window sees beyond them does not.
        pads = site.ints("pads", 0, 0, p, p, 0, 0, p, p)
        x, p, ends = site.op("Pad", x, pads, part="padded"), 0, [end - p for end in ends]
    return site.op("AveragePool", x, pads=[p, p, *ends], count_include_pad=0, **window)


@lower.register
def _(layer: GlobalPool, site: Site, x: str) -> str:
    return site.op("GlobalAveragePool" if layer.kind == "avg" else "GlobalMaxPool", x)


@lower.register
def _(layer: ChannelPool, site: Site, x: str) -> str:
    return site.op("ReduceMean" if layer.kind == "avg" else "ReduceMax", x, axes=[1])


@lower.register
def _(layer: SumHeight, site: Site, x: str) -> str:
    return site.op("ReduceSum", x, site.ints("axes", 2))


@lower.register
def _(layer: Activate, site: Site, x: str) -> str:
    return _activate(site, layer.act, x)


@lower.register
def _(layer: Dropout, site: Site, x: str) -> str:
    return x


@lower.register
def _(layer: Multiply, site: Site, x: str) -> str:
    return site.op("Mul", x, site.constant("factor", np.array(layer.factor, np.float32)))


@lower.register
def _(layer: Add, site: Site, x: str, y: str) -> str:
    return site.op("Add", x, y)


@lower.register
def _(layer: Scale, site: Site, x: str, gate: str) -> str:
    return site.op("Mul", x, gate)


@lower.register
def _(layer: Concat, site: Site, *inputs: str) -> str:
    return site.op("Concat", *inputs, axis=1 if layer.axis == "channels" else 2)


@lower.register
def _(layer: Slice, site: Site, x: str) -> str:
    start, stop = site.ints("start", layer.start), site.ints("stop", layer.stop)
    return site.op("Slice", x, start, stop, site.ints("axes", 1))


@lower.register
def _(layer: Shuffle, site: Site, x: str) -> str:
    c, h, w = site.node.shape
    grouped = site.ints("grouped.shape", 0, layer.groups, c // layer.groups, h * w)
    y = site.op("Reshape", x, grouped, part="grouped")
    y = site.op("Transpose", y, part="transposed", perm=[0, 2, 1, 3])
    return site.op("Reshape", y, site.ints("shape", 0, c, h, w))


@lower.register
def _(layer: Module, site: Site, x: str) -> str:
    raise InputError(
        f"{site.node.path}: {layer!r} is a user's torch module, of which no ONNX file can be "
        f"written; write it with the methods of nas.graph.Tensor"
    )
