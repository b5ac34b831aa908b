"""An ONNX model under way, and where in it a node is lowered to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from nas.graph import Graph, Node
from nas.layers import Shape
from nas.onnx_model.weights import Array, Given, Random

OPSET, IR_VERSION = 17, 8  # of 2022: every engine in use reads them, ONNX Runtime since 1.12


class Model:
    """What has been lowered so far, in one message, since copies of weights would double the time.

    Tensors are named path/part, so that no two names meet.
    """

    def __init__(self, weights: Random | Given) -> None:
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

    model: Model
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
