"""The blocks of a network in order, with what each of them turns into what, and at which cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from nas.arch import parts
from nas.blocks import Block, Head, name_of, unusual
from nas.cost import Cost, cost, layer_cost
from nas.graph import Graph
from nas.layers import Conv, GlobalPool, Linear, Pool, Shape
from nas.networks import Network

BLOCK = re.compile(r"stem|head|stages\.\d+\.\d+")  # the paths of an architecture's parts


@dataclass(frozen=True, slots=True)
class Part:
    """A block, or what lies under one name where the network is no stage table.

    `block` is the block's registered name, else what the layers are: conv, pool, linear, or the
    name without its number. `settings` are those that differ from the block's defaults. `macs`,
    `params` and `activations` as `nas.cost` counts; `layers` are all primitive ones.
    """

    path: str
    block: str
    settings: dict[str, Any]
    input: Shape
    output: Shape
    macs: int
    params: int
    activations: int
    layers: int

    @property
    def stage(self) -> str:
        """stages.2 of stages.2.0; otherwise the whole path."""
        return self.path.rpartition(".")[0] if self.path.count(".") == 2 else self.path

    def alike(self, other: Part) -> bool:
        """Whether it is the same block of the same stage, once more."""
        return self.stage == other.stage and replace(self, path=other.path) == other


@dataclass(frozen=True, slots=True)
class Diagram:
    """A network's parts in order, and what they cost in all."""

    name: str
    input: Shape
    output: Shape
    cost: Cost
    parts: tuple[Part, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def lay_out(network: Network) -> Diagram:
    """The diagram of a network, be it a stage table or not."""
    graph, blocks = network.graph, dict[str, Block | Head]()
    if network.architecture:
        blocks = {path: part for path, part, _ in parts(network.architecture)}
    found = tuple(_part(graph, path, indices, blocks) for path, indices in _grouped(graph))
    return Diagram(network.name, graph.input, graph.output, cost(graph), found)


def _grouped(graph: Graph) -> Iterator[tuple[str, list[int]]]:
    """(path, the indices of its nodes) in order; what follows a name and is free belongs to it."""
    names: list[str] = []
    for node in graph.nodes[1:]:
        match = BLOCK.match(node.path)
        name = match[0] if match else node.path.partition(".")[0]
        names.append(names[-1] if names and node.layer.free and name == node.path else name)
    for path, group in groupby(enumerate(names, 1), key=lambda pair: pair[1]):
        yield path, [i for i, _ in group]


def _part(graph: Graph, path: str, indices: list[int], blocks: dict[str, Block | Head]) -> Part:
    costs = [layer_cost(graph, graph.nodes[i]) for i in indices]
    block = blocks.get(path)
    return Part(
        path=path,
        block=name_of(block) if block else _kind(graph, path, indices),
        settings=unusual(block) if block else {},
        input=graph.nodes[graph.nodes[indices[0]].inputs[0]].shape,
        output=graph.nodes[indices[-1]].shape,
        macs=sum(c.macs for c in costs),
        params=sum(c.params for c in costs),
        activations=sum(c.activations for c in costs),
        layers=len(indices),
    )


def _kind(graph: Graph, path: str, indices: list[int]) -> str:
    layer = graph.nodes[indices[0]].layer
    for kind, name in ((Conv, "conv"), (Pool | GlobalPool, "pool"), (Linear, "linear")):
        if isinstance(layer, kind) and sum(not graph.nodes[i].layer.free for i in indices) == 1:
            return name
    return re.sub(r"_?\d+[a-z]?$", "", path)
