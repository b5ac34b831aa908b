"""`to_onnx`: a graph's nodes lowered in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from nas.graph import Graph
from nas.layers import ELEMENTWISE, Linear
from nas.onnx_model.lowerings import lower
from nas.onnx_model.model import Model, Site
from nas.onnx_model.weights import Given, Random


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
    model = Model(Random(seed) if weights is None else Given(weights))
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
