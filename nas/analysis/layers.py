"""What each layer of a network costs, in the terms of the roofline.

    intensity = 2 · MACs / bytes moved                                          (FLOP/byte)

A multiply–accumulate is two operations here and only here, since peaks and intensities are quoted
so (Williams, Waterman, Patterson: Roofline, CACM 2009). Bytes are `nas.cost`'s traffic: inputs and
weights read once, the output written once, fp32, batch norm and activation fused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from nas.cost import BYTES, layer_cost
from nas.graph import Graph, Node
from nas.layers import (
    ChannelPool,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Module,
    Pool,
    Shape,
    Shuffle,
    Slice,
    SumHeight,
    elements,
)

Kind: TypeAlias = Literal[
    "standard",
    "pointwise",
    "depthwise",
    "grouped",
    "linear",
    "pooling",
    "element-wise",
    "movement",
    "module",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
FLOP_PER_MAC = 2


def kind_of(layer: Layer) -> Kind:
    """The kind of work: what a paper calls the layer, and what a kernel library has code for."""
    match layer:
        case Conv():
            return _kind_of_conv(layer)
        case Linear():
            return "linear"
        case Pool() | GlobalPool() | ChannelPool() | SumHeight():
            return "pooling"
        case Concat() | Slice() | Shuffle():
            return "movement"
        case Module():
            return "module"
    return "element-wise"


def _kind_of_conv(layer: Conv) -> Kind:
    if layer.groups > 1:
        return "depthwise" if layer.groups == layer.inputs else "grouped"
    return "pointwise" if layer.kernel == (1, 1) else "standard"


@dataclass(frozen=True, slots=True)
class LayerCount:
    """One layer's counts for one image.

    `shape` is the output's. `intensity` is FLOP/byte, None where a layer moves nothing because it
    is fused. `memory_bytes` are the activations that are live while it runs, in the order of
    recording; their largest is the network's `memory`.
    """

    path: str
    layer: str
    kind: Kind
    shape: Shape
    params: int
    macs: int
    activations: int
    traffic_bytes: int
    intensity: float | None
    memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"shape": list(self.shape)}


def count_layers(graph: Graph) -> list[LayerCount]:
    """The counts of all layers in the order of recording, without the input."""
    live = list(_live(graph.nodes))
    return [_count(graph, node, live[i]) for i, node in enumerate(graph.nodes) if node.inputs]


def _count(graph: Graph, node: Node, live: int) -> LayerCount:
    counted = layer_cost(graph, node)
    return LayerCount(
        path=node.path,
        layer=type(node.layer).__name__.lower(),
        kind=kind_of(node.layer),
        shape=node.shape,
        params=counted.params,
        macs=counted.macs,
        activations=counted.activations,
        traffic_bytes=counted.traffic,
        intensity=intensity(counted.macs, counted.traffic),
        memory_bytes=BYTES * live,
    )


def intensity(macs: int, traffic: int) -> float | None:
    """Arithmetic intensity in FLOP/byte, two operations a MAC; None where nothing moves."""
    return FLOP_PER_MAC * macs / traffic if traffic else None


def totals(graph: Graph) -> dict[str, Any]:
    """What a whole network has besides its counts, as plain data."""
    layers = count_layers(graph)
    macs, moved = sum(r.macs for r in layers), sum(r.traffic_bytes for r in layers)
    return {
        "traffic_bytes": moved,
        "intensity": intensity(macs, moved),
        "size_bytes": BYTES * sum(r.params for r in layers),
        "int8_bytes": int8_bytes(graph),
        "operators": sum(r.traffic_bytes > 0 for r in layers),
    }


def _live(nodes: tuple[Node, ...]) -> Iterator[int]:
    """Elements that are live while each node runs: `nas.cost.memory` is their maximum."""
    last_use = {j: i for i, node in enumerate(nodes) for j in node.inputs}
    live = 0
    for i, node in enumerate(nodes):
        size = elements(node.shape)
        dying = sum(elements(nodes[j].shape) for j in set(node.inputs) if last_use[j] == i)
        yield live if node.layer.in_place and dying else live + size
        live += size - dying


def int8_bytes(graph: Graph) -> int:
    """Bytes of the parameters in int8: one a weight, four (int32) a bias with batch norm folded.

    A batch norm or a bias leaves one bias an output channel. Scales and zero points are left out;
    a batch norm on its own stays fp32, and of a user's module every parameter counts as a weight.
    """
    return sum(_int8(node.layer) for node in graph.nodes)


def _int8(layer: Layer) -> int:
    match layer:
        case Conv():
            return layer.weights + 4 * layer.outputs * (layer.bias or layer.norm)
        case Linear():
            return layer.inputs * layer.outputs + 4 * layer.outputs * layer.bias
        case Module():
            return layer.params
    return BYTES * layer.params
