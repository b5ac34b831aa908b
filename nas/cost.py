"""What a network costs, exactly, by a walk over its graph.

THE COUNTING CONVENTION, the one place where it is stated:

- `macs`: multiply–accumulates of convolutions and linear layers for one image. One MAC is one
  "flop" of a budget such as 300M-flops, as fvcore and the papers of the field count. Batch norm is
  folded; bias, activation, pooling and element-wise work count nothing.
- `params`: all learnable parameters, with batch norm's scale and shift.
- `activations`: output elements of convolutions and linear layers, as fvcore counts.
- `traffic`: bytes moved when each layer reads its inputs and weights once and writes its output
  once, in fp32, batch norm and activation fused into the convolution.
- `memory`: bytes of the largest sum of live tensors, batch 1, fp32, layers run in the order of
  recording, batch norm and activations fused, additions in place; weights are not counted.
- `size`: bytes of the parameters in fp32.

MB is 10⁶ bytes, MiB is 2²⁰. fvcore's conv + linear count equals `macs` exactly (`nas.verify`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from nas.arch import Architecture, parts, trace
from nas.graph import Graph, Node, Tensor, record
from nas.layers import Shape, elements

BYTES = 4  # of one fp32 number
KEPT = -1  # no index: a tensor that no later layer frees


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts of one image's inference; sums add up, except `memory`, where the larger counts."""

    macs: int = 0
    params: int = 0
    activations: int = 0
    traffic: int = 0
    memory: int = 0

    @property
    def size(self) -> int:
        """Bytes of the parameters in fp32."""
        return BYTES * self.params

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            self.activations + other.activations,
            self.traffic + other.traffic,
            max(self.memory, other.memory),
        )


def cost(network: Graph | Architecture) -> Cost:
    """The cost of a graph; of an architecture the same, block by block, without its graph.

    A block has one input and one output, so that sums add up and the largest memory counts.
    """
    return _fold(network, False) if isinstance(network, Graph) else _by_block(network)


def _by_block(arch: Architecture) -> Cost:
    macs = params = activations = traffic = memory = 0
    shape = arch.input
    try:
        for _, part, settings in parts(arch):
            shape, found = part_cost(shape, part, settings)
            macs += found.macs
            params += found.params
            activations += found.activations
            traffic += found.traffic
            memory = max(memory, found.memory)
    except Exception:  # a user's block may raise anything; tracing tells where
        return cost(trace(arch))
    return Cost(macs, params, activations, traffic, memory)


@lru_cache(maxsize=2**15)
def part_cost(
    shape: Shape, part: Callable[..., Tensor], settings: tuple[int, ...]
) -> tuple[Shape, Cost]:
    """Output shape and cost of one of `nas.arch.parts` on an input of `shape`."""
    graph = record(shape, lambda x: part(x, *settings))
    return graph.output, _fold(graph, False)


def _fold(graph: Graph, keep_input: bool) -> Cost:
    """Sum over a graph's items; `keep_input` says that its input stays live to the end."""
    items = graph.items
    last_use = [0] * len(items)
    for i, item in enumerate(items):
        for j in item[1]:
            last_use[j] = i
    if keep_input:
        last_use[0] = KEPT

    macs = params = activations = traffic = peak = live = 0  # the last three in elements
    sizes: list[int] = []
    for i, (layer, inputs, (c, h, w), _) in enumerate(items):
        size = c * h * w
        sizes.append(size)
        read = dying = 0
        for j in inputs:
            read += sizes[j]
            if last_use[j] == i:
                dying += sizes[j]
                last_use[j] = KEPT  # an input that is named twice dies once
        need = live + size
        if isinstance(layer, Graph):
            inner = _fold_fragment(layer, not dying)
            macs += inner.macs
            params += inner.params
            activations += inner.activations
            traffic += inner.traffic // BYTES
            need = live - read + inner.memory // BYTES
        else:
            weights = layer.params
            params += weights
            if layer.counted:
                macs += layer.macs((c, h, w))
                activations += size
            if not layer.free:
                traffic += read + size + weights
            if layer.in_place and dying:
                need = live
        if need > peak:
            peak = need
        live += size - dying
    return Cost(macs, params, activations, BYTES * traffic, BYTES * peak)


_fold_fragment = lru_cache(maxsize=2**12)(_fold)


def layer_cost(graph: Graph, node: Node) -> Cost:
    """The cost of one node; `memory` is its inputs and its output."""
    size = elements(node.shape)
    read = sum(elements(graph.nodes[j].shape) for j in node.inputs)
    return Cost(
        macs=node.layer.macs(node.shape),
        params=node.layer.params,
        activations=size if node.layer.counted else 0,
        traffic=0 if node.layer.free else BYTES * (read + size + node.layer.params),
        memory=BYTES * (read + (0 if node.layer.in_place else size)),
    )
