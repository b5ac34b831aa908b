"""Synaptic flow. Tanaka et al. 2020, arXiv:2006.05467; for networks, Abdelfattah et al. 2021."""

from __future__ import annotations

import math

import torch
from torch import nn

from nas.graph import Graph
from nas.net import build
from nas.proxies.batch import Batch


def synflow(graph: Graph, batch: Batch, seed: int = 0) -> float:
    """log Σ |θ · ∂R/∂θ|, R the sum of the outputs for an image of ones under weights |θ|.

    Without batch norm, in double precision; summed over the weights of convolutions and linear
    layers (arXiv:2101.08134, section 3). Of the batch only the images' size matters.
    """
    module = _without_norms(build(graph, seed)).double().eval()
    weights = [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_()
    ones = torch.ones(1, *batch.x.shape[1:], dtype=torch.float64)
    gradients = torch.autograd.grad(module(ones).sum(), weights)
    flow = sum(
        float((weight.detach() * gradient).abs().sum())
        for weight, gradient in zip(weights, gradients, strict=True)
    )
    return math.log(flow) if flow > 0 else -math.inf


def _without_norms(module: nn.Module) -> nn.Module:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    return module
