"""Zen-score. Lin et al. 2021, arXiv:2102.01063."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nas.graph import Graph, Node
from nas.layers import Add, GlobalPool
from nas.net import build, seeded
from nas.proxies.batch import Batch

STEP = 0.01  # α, how far the second input is from the first


@torch.no_grad()
def zen(graph: Graph, batch: Batch, seed: int = 0) -> float:
    """log E‖f(x) − f(x + αε)‖₁ + Σ log σ: f the features before the last global pool.

    x, ε and the weights of convolutions are standard normal; σ², the mean of a batch norm's
    variances, undoes its scaling. Residual sums are left out, as in the paper. Of the batch only
    the images' number and size matter.
    """
    module = build(features(graph), seed).train()
    module.graph.eliminate_dead_code()  # shortcuts with layers of their own
    module.recompile()
    deviations: list[float] = []

    def remember(norm: nn.Module, inputs: Any) -> None:
        deviations.append(math.log(float(inputs[0].var((0, 2, 3)).mean().sqrt()) + 1e-12))

    with seeded(seed):
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight)
        x = torch.randn(batch.x.shape)
        change = STEP * torch.randn(batch.x.shape)
    moved: Tensor = module(x + change)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_pre_hook(remember)
    change = (module(x) - moved).abs().flatten(1).sum(1).mean()
    return math.log(float(change) + 1e-12) + sum(deviations)


def features(graph: Graph) -> Graph:
    """The graph up to its last global pool, each sum replaced by the deeper of what it adds."""
    pools = [node.inputs[0] for node in graph.nodes if isinstance(node.layer, GlobalPool)]
    kept: list[Node] = []
    place: list[int] = []  # of each node in `kept`
    depth: list[int] = []  # layers before each node
    for node in graph.nodes[: pools[-1] + 1 if pools else None]:
        depth.append(1 + max((depth[i] for i in node.inputs), default=0))
        if isinstance(node.layer, Add):
            place.append(place[max(node.inputs, key=depth.__getitem__)])
        else:
            place.append(len(kept))
            kept.append(node._replace(inputs=tuple(place[i] for i in node.inputs)))
    return Graph(tuple(kept[: place[-1] + 1]))
