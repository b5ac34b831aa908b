"""ZiCo. Li et al. 2023, arXiv:2301.11300."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from nas.graph import Graph
from nas.net import build
from nas.proxies.batch import Batch


def zico(graph: Graph, batch: Batch, seed: int = 0) -> float:
    """Σ over layers of log Σ over weights of mean |g| / deviation of g.

    g is a weight's gradient of the cross-entropy, over the two halves of the batch; layers are
    convolutions and linear ones. Batch norm uses a half's statistics, as in the authors' code.
    """
    module = build(graph, seed).train()
    layers = [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    halves = []
    for x, y in zip(batch.x.chunk(2), batch.y.chunk(2), strict=True):
        halves.append(torch.autograd.grad(F.cross_entropy(module(x), y), layers))
    return sum(_layer(torch.stack(gradients)) for gradients in zip(*halves, strict=True))


def _layer(gradients: torch.Tensor) -> float:
    """A layer's part; gradients are (batches, *weight)."""
    deviation = gradients.std(0, correction=0)
    varies = deviation > 0
    total = float((gradients.abs().mean(0)[varies] / deviation[varies]).sum())
    return math.log(total) if total > 0 else 0.0
