"""Neural architecture search without training. Mellor et al. 2021, arXiv:2006.04647."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nas.graph import Graph
from nas.net import build
from nas.proxies.batch import Batch

UNITS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU)  # positive where their input is


@torch.no_grad()
def naswot(graph: Graph, batch: Batch, seed: int = 0) -> float:
    """log |det K|: K[i, j] counts the units that are on for both images i and j, or off for both.

    Batch norm uses the batch's statistics, as in the authors' code. -inf where K is singular, as
    without any activation.
    """
    module = build(graph, seed).train()
    kernel = torch.zeros(len(batch.x), len(batch.x), dtype=torch.float64)

    def count(unit: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        on = (output > 0).flatten(1).float()
        kernel.add_(on @ on.T + (1 - on) @ (1 - on).T)

    for unit in module.modules():
        if isinstance(unit, UNITS):
            unit.register_forward_hook(count)
    module(batch.x)
    return float(torch.linalg.slogdet(kernel).logabsdet)
