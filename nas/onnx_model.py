"""A graph as an ONNX model, written directly: milliseconds, and no torch.

Batch norm is folded into the convolution before it, dropout vanishes, every node carries the
path of its layer. Maps have the graph's own resolution; what engines disagree about, windows that
reach over a map's edge, is written as explicit padding.

    image (batch, c, h, w) → scores (batch, classes) where the graph ends in (classes, 1, 1)
                             scores (batch, c, h, w) elsewhere

A new primitive joins by `@lower.register`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from nas.errors import InputError
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
    Shape,
    Shuffle,
    Slice,
    SumHeight,
)

OPSET, IR_VERSION = 17, 8  # of 2022: every engine in use reads them, ONNX Runtime since 1.12
Array: TypeAlias = NDArray[np.float32]


# (operator, attributes, constant inputs)
ACTIVATIONS: dict[Act, tuple[str, dict[str, float], tuple[float, ...]]] = {
    "relu": ("Relu", {}, ()),
    "relu6": ("Clip", {}, (0.0, 6.0)),
    "hswish": ("HardSwish", {}, ()),
    "sigmoid": ("Sigmoid", {}, ()),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, ()),
    "clamp": ("Clip", {}, (0.0, 1.0)),
}


def to_onnx(
    graph: Graph,
    weights: Mapping[str, NDArray[Any]] | None = None,
    seed: int = 0,
    batch: int | None = 1,
) -> onnx.ModelProto:
    """The ONNX model of a graph in fp32.

    `weights` are those of `nas.net.build(graph).state_dict()` as arrays, keyed alike; without them
    they are random by `seed`, of a scale that keeps activations in range, since time depends
    on shapes alone. `batch=None` leaves the number of images open. Raises InputError where a weight
    is missing or has another shape, and for a user's torch module.
    """
    model = _Model(_Random(seed) if weights is None else _Given(weights))
    values: list[str] = []
    for node in graph.nodes:
        site = Site(model, node, tuple(graph.nodes[i].shape for i in node.inputs))
        values.append(_lowered(site, [values[i] for i in node.inputs]))
    output = site.vector(values[-1]) if graph.output[1:] == (1, 1) else values[-1]
    return model.finished(graph, output, batch)


def _lowered(site: Site, inputs: list[str]) -> str:
    """The node's value; only element-wise layers keep a vector (batch, c) as it is."""
    layer, vectors = site.node.layer, site.model.vectors
    keeps = isinstance(layer, ELEMENTWISE | Linear)
    value = lower(layer, site, *(x if keeps else site.map(x) for x in inputs))
    if isinstance(layer, Linear) or (keeps and inputs[0] in vectors):
        vectors.add(value)
    return value


class _Random:
    """Weights that keep the variance of activations, repeated from one pool since it is fast."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pool = self.rng.standard_normal(2**17 - 1, dtype=np.float32)

    def weight(self, name: str, shape: tuple[int, ...], gain: float) -> Array:
        start = self.rng.integers(len(self.pool) // 2)
        return np.resize(self.pool[start:], shape) * np.float32(sqrt(gain / prod(shape[1:])))

    def vector(self, name: str, size: int, usual: float) -> Array:
        return np.full(size, usual, np.float32)


class _Given:
    """Weights from a mapping; a missing or misshapen one raises InputError."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights

    def weight(self, name: str, shape: tuple[int, ...], gain: float = 1) -> Array:
        if name not in self.weights:
            raise InputError(f"weights: {name} is missing")
        array = np.asarray(self.weights[name], np.float32)
        if array.shape != shape:
            raise InputError(f"weights: {name}: expected the shape {shape}, got {array.shape}")
        return array

    def vector(self, name: str, size: int, usual: float) -> Array:
        return self.weight(name, (size,))


class _Model:
    """What has been lowered so far, in one message, since copies of weights would double the time.

    Tensors are named path/part, so that no two names meet.
    """

    def __init__(self, weights: _Random | _Given) -> None:
        self.weights = weights
        self.vectors: set[str] = set()  # the tensors of shape (batch, c)
        self.proto = onnx.ModelProto(ir_version=IR_VERSION, producer_name="nas-explorer")
        self.proto.opset_import.append(helper.make_opsetid("", OPSET))
        self.proto.graph.name = "network"

    def finished(self, graph: Graph, output: str, batch: int | None) -> onnx.ModelProto:
        """The model with its input and its output, which is renamed to scores."""
        proto = self.proto.graph
        for node in proto.node:
            for names in (node.input, node.output):
                names[:] = ["scores" if name == output else name for name in names]
        first: Any = "batch" if batch is None else batch
        shape = graph.output[:1] if output in self.vectors else graph.output
        float32 = TensorProto.FLOAT
        proto.input.append(helper.make_tensor_value_info("image", float32, [first, *graph.input]))
        proto.output.append(helper.make_tensor_value_info("scores", float32, [first, *shape]))
        return self.proto


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node is lowered to."""

    model: _Model
    node: Node
    shapes: tuple[Shape, ...]  # of the inputs

    def op(self, kind: str, *inputs: str, part: str = "out", **attributes: Any) -> str:
        """Add an operator; returns its output's name, which is its own as well."""
        name = f"{self.node.path}/{part}"
        node = helper.make_node(kind, inputs, [name], name, **attributes)
        self.model.proto.graph.node.append(node)
        return name

    def constant(self, part: str, value: NDArray[Any]) -> str:
        """Add a tensor; returns its name."""
        name = f"{self.node.path}/{part}"
        little_endian = value.astype(value.dtype.newbyteorder("<"), copy=False)
        self.model.proto.graph.initializer.add(
            name=name,
            dims=value.shape,
            data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
            raw_data=little_endian.tobytes(),
        )
        return name

    def ints(self, part: str, *values: int) -> str:
        return self.constant(part, np.array(values, np.int64))

    def weight(self, name: str, shape: tuple[int, ...], gain: float) -> Array:
        """A weight of this layer; the variance of a random one is gain/fan-in."""
        return self.model.weights.weight(f"{self.node.path}.{name}", shape, gain)

    def numbers(self, name: str, size: int, usual: float) -> Array:
        """A bias or a statistic of this layer."""
        return self.model.weights.vector(f"{self.node.path}.{name}", size, usual)

    def vector(self, x: str) -> str:
        """(batch, c, 1, 1) → (batch, c)."""
        if x in self.model.vectors:
            return x
        vector = self.op("Flatten", x, part="vector")
        self.model.vectors.add(vector)
        return vector

    def map(self, x: str) -> str:
        """(batch, c) → (batch, c, 1, 1)."""
        if x not in self.model.vectors:
            return x
        return self.op("Reshape", x, self.ints("map.shape", 0, -1, 1, 1), part="map")


# One lowering a primitive ------------------------------------------------------------------------


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
