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

from dataclasses import dataclass

from nas.graph import Conv, Graph, Linear, Module, Node, elements

BYTES = 4  # of one fp32 number
COUNTED = (Conv, Linear, Module)  # the layers that multiply and accumulate


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


def cost(graph: Graph) -> Cost:
    """The cost of a whole graph."""
    nodes = graph.nodes
    last_use = [0] * len(nodes)
    for i, node in enumerate(nodes):
        for j in node.inputs:
            last_use[j] = i

    macs = params = activations = traffic = peak = live = 0
    sizes: list[int] = []
    for i, (layer, inputs, shape, _) in enumerate(nodes):
        size = shape[0] * shape[1] * shape[2]
        sizes.append(size)
        params += layer.params
        if isinstance(layer, COUNTED):
            macs += layer.macs(shape)
            activations += size
        if not layer.free:
            traffic += size + layer.params
            for j in inputs:
                traffic += sizes[j]
        dying = 0
        for j in set(inputs) if len(inputs) > 1 else inputs:
            if last_use[j] == i:
                dying += sizes[j]
        live += size
        peak = max(peak, live - size if layer.in_place and dying else live)
        live -= dying
    return Cost(macs, params, activations, BYTES * traffic, BYTES * peak)


def layer_cost(graph: Graph, node: Node) -> Cost:
    """The cost of one node; `memory` is its inputs and its output."""
    size = elements(node.shape)
    read = sum(elements(graph.nodes[j].shape) for j in node.inputs)
    counted = isinstance(node.layer, COUNTED)
    return Cost(
        macs=node.layer.macs(node.shape),
        params=node.layer.params,
        activations=size if counted else 0,
        traffic=0 if node.layer.free else BYTES * (read + size + node.layer.params),
        memory=BYTES * (read + (0 if node.layer.in_place else size)),
    )
