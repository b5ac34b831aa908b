"""ShuffleNetV2's four practical guidelines as numbers of a network. arXiv:1807.11164, section 2.

G1  balance: memory access of the 1x1 convolutions over its least at the same MACs, ≥ 1
        access = hw(c1 + c2) + c1·c2 ≥ 2·√(hw·B) + B/hw,   B = hw·c1·c2 MACs, least at c1 = c2
G2  grouping: share of MACs in grouped convolutions, depthwise ones apart
        g groups write g times the channels of a dense convolution of the same input and MACs
G3  fragmentation: mean number of layers that could run in parallel, ≥ 1
        layers / longest chain of layers, counting convolutions, linear layers and poolings
G4  element-wise: share of bytes that sums and gates move; activations are fused and move nothing

The paper gives no formula for G3 and G4; these follow its words: fragments are "the number of
individual convolution or pooling operations" in a block, in series or in parallel, and
element-wise operators have "small FLOPs but relatively heavy" memory access.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from nas.analysis.layers import count_layers, kind_of
from nas.cost import BYTES
from nas.graph import Graph, Node
from nas.layers import Conv, GlobalPool, Linear, Module, Pool, elements

WORST = 3  # layers that a guideline names


@dataclass(frozen=True, slots=True)
class Worst:
    """A layer, or a block of layers, that breaks a guideline most, and the reason in words.

    `value` is in bytes: moved beyond the least (G1), written more than dense (G2), moved (G4); for
    G3 it is the mean number of parallel layers.
    """

    path: str
    value: float
    detail: str


@dataclass(frozen=True, slots=True)
class Guideline:
    """A network's number for a guideline, the best it could be, and what is to blame."""

    name: str
    short: str
    about: str
    value: float
    best: float
    worst: tuple[Worst, ...]
    also: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def guidelines(graph: Graph) -> tuple[Guideline, ...]:
    """The numbers of all four guidelines, each with its worst layers."""
    return balance(graph), grouping(graph), fragmentation(graph), elementwise(graph)


# G1: equal channel width minimizes memory access -------------------------------------------------


def balance(graph: Graph) -> Guideline:
    """Memory access of dense 1x1 convolutions over its least at the same MACs."""
    access = least = 0.0
    found = []
    for node in graph.nodes:
        if isinstance(node.layer, Conv) and kind_of(node.layer) == "pointwise":
            own, bound = pointwise_access(node.layer.inputs, *node.shape)
            access, least = access + own, least + bound
            detail = f"{node.layer.inputs} → {node.layer.outputs} channels"
            excess = round(BYTES * (own - bound))
            found.append(Worst(node.path, excess, f"{detail}, {own / bound:.2f}×"))
    return Guideline(
        name="G1",
        short="channel balance",
        about="memory access of 1x1 convolutions over its least, at equal channels",
        value=access / least if least else 1.0,
        best=1.0,
        worst=_worst(found),
        also={"excess_bytes": round(BYTES * (access - least))},
    )


def pointwise_access(inputs: int, outputs: int, height: int, width: int) -> tuple[float, float]:
    """Numbers that a 1x1 convolution moves, and the least for its MACs: equations 1 and 2."""
    hw, weights = height * width, inputs * outputs
    return hw * (inputs + outputs) + weights, 2 * hw * sqrt(weights) + weights


# G2: excessive group convolution increases memory access -----------------------------------------


def grouping(graph: Graph) -> Guideline:
    """Share of MACs in grouped convolutions that are not depthwise."""
    macs = {"grouped": 0, "depthwise": 0}
    total = 0
    found = []
    for node in graph.nodes:
        own, kind = node.layer.macs(node.shape), kind_of(node.layer)
        total += own
        if kind in macs:
            macs[kind] += own
        if isinstance(node.layer, Conv) and kind == "grouped":
            size = elements(node.shape)
            extra = BYTES * (size - size // node.layer.groups)
            found.append(Worst(node.path, extra, f"{node.layer.groups} groups"))
    return Guideline(
        name="G2",
        short="grouped MACs",
        about="share of MACs in grouped convolutions, depthwise ones apart",
        value=macs["grouped"] / total if total else 0.0,
        best=0.0,
        worst=_worst(found),
        also={
            "extra_bytes": sum(layer.value for layer in found),
            "depthwise_share": macs["depthwise"] / total if total else 0.0,
        },
    )


# G3: network fragmentation reduces the degree of parallelism -------------------------------------


@dataclass(frozen=True, slots=True)
class Fragment:
    """Nodes between two places where a single tensor is alive; `chain` is the longest path."""

    path: str
    layers: int
    chain: int


def fragmentation(graph: Graph) -> Guideline:
    """Mean number of parallel layers, over the network and in its worst fragments."""
    parts = [part for part in fragments(graph) if part.layers]
    layers, chain = sum(p.layers for p in parts), sum(p.chain for p in parts)
    split = [p for p in parts if p.layers > p.chain]
    found = [
        Worst(p.path, p.layers / p.chain, f"{p.layers} layers, {p.chain} in a row") for p in split
    ]
    return Guideline(
        name="G3",
        short="parallel paths",
        about="layers over their longest chain: mean number of parallel paths",
        value=layers / chain if chain else 1.0,
        best=1.0,
        worst=_worst(found),
        also={
            "layers": layers,
            "longest_chain": chain,
            "branched_share": sum(p.layers for p in split) / layers if layers else 0.0,
            "operators": sum(not n.layer.free and bool(n.inputs) for n in graph.nodes),
        },
    )


def fragments(graph: Graph) -> Iterator[Fragment]:
    """The network cut wherever one tensor alone leads on, which no order of layers changes."""
    nodes = graph.nodes
    last_use = {j: i for i, node in enumerate(nodes) for j in node.inputs}
    start = reach = 0
    for i in range(len(nodes)):
        if i and reach <= i:  # what was recorded before i is not read after it
            yield _fragment(nodes, start, i)
            start = i
        reach = max(reach, last_use.get(i, i))


def _fragment(nodes: tuple[Node, ...], start: int, end: int) -> Fragment:
    """Nodes after `start` up to `end`; both are cuts."""
    depth = {start: 0}
    inner = range(start + 1, end + 1)
    for i in inner:
        depth[i] = max(depth.get(j, 0) for j in nodes[i].inputs) + _is_layer(nodes[i])
    working = [nodes[i].path for i in inner if _is_layer(nodes[i])]
    return Fragment(_common(working), len(working), max(depth.values()))


def _is_layer(node: Node) -> bool:
    return isinstance(node.layer, Conv | Linear | Module | Pool | GlobalPool)


def _common(paths: Sequence[str]) -> str:
    """The longest prefix of whole names: stages.1.0 of stages.1.0.reduce and stages.1.0.expand."""
    parts = [path.split(".") for path in paths]
    shared = []
    for names in zip(*parts, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared) or (f"{paths[0]} … {paths[-1]}" if paths else "")


# G4: element-wise operations are non-negligible ---------------------------------------------------


def elementwise(graph: Graph) -> Guideline:
    """Share of the bytes that layers without MACs move: sums and gates; others stand beside."""
    layers = count_layers(graph)
    total = sum(layer.traffic_bytes for layer in layers) or 1
    moved = {
        kind: sum(layer.traffic_bytes for layer in layers if layer.kind == kind) / total
        for kind in ("element-wise", "movement", "depthwise")
    }
    found = [
        Worst(layer.path, layer.traffic_bytes, f"{layer.layer} of {layer.shape[0]} channels")
        for layer in layers
        if layer.kind == "element-wise"
    ]
    return Guideline(
        name="G4",
        short="element-wise bytes",
        about="share of the bytes moved by element-wise sums and gates",
        value=moved["element-wise"],
        best=0.0,
        worst=_worst(found),
        also={"movement_share": moved["movement"], "depthwise_share": moved["depthwise"]},
    )


def _worst(found: Sequence[Worst]) -> tuple[Worst, ...]:
    """The largest values first, in the order of the network where they are equal."""
    ranked = sorted(found, key=lambda layer: -layer.value)
    return tuple(layer for layer in ranked[:WORST] if layer.value > 0)
