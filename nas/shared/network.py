"""One set of weights for a whole space: a torch module that runs any architecture of it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from nas.arch import Architecture
from nas.layers import ELEMENTWISE, EPSILON, Act, Conv, Layer, Linear, Module
from nas.net import ACTIVATIONS, Site, lower, seeded
from nas.shared.depthwise import small_depthwise
from nas.shared.layout import Layout, Part, Plan, Take, family_of
from nas.shared.slices import slices
from nas.shared.slots import is_depthwise

NO_CODE = fx.Graph()  # what is run at once writes none


class SharedNetwork(nn.Module):
    """The tensors of a layout as parameters; `network(x, arch)` runs an architecture on its part.

    x: (batch, c, h, w) → (batch, classes). Batch norm uses the batch's own statistics, always, and
    keeps none. Weights begin as `nas.build` would begin the largest network. The buffer `steps`
    counts for each layer, in the order of `keys`, the forward passes that it was part of.
    """

    steps: Tensor

    def __init__(self, layout: Layout, seed: int) -> None:
        super().__init__()
        self.layout = layout
        self.keys = {key: n for n, key in enumerate(sorted(layout.keys))}
        self.register_buffer("steps", torch.zeros(len(self.keys), dtype=torch.long))
        generator = torch.Generator().manual_seed(seed)
        self._tensors = dict[str, Tensor]()
        for key, leaves in sorted(layout.shapes.items()):
            each = key in layout.made and layout.made[key].each
            for leaf, shape in leaves.items():
                tensor = nn.Parameter(_initial(leaf, shape, each, generator))
                self.register_parameter(f"{key}/{leaf}", tensor)
                self._tensors[f"{key}/{leaf}"] = tensor
        with seeded(seed):
            for key, own in sorted(layout.modules.items()):
                self.add_module(key, own.layer.factory(own.channels))

    def steps_by_family(self) -> dict[str, dict[str, int]]:
        """The fewest, the median and the most forward passes of a family's layers."""
        found = defaultdict[str, list[int]](list)
        for key, n in self.keys.items():
            found[family_of(key)].append(int(self.steps[n]))
        return {
            family: {"fewest": min(steps), "median": int(median(steps)), "most": max(steps)}
            for family, steps in sorted(found.items())
        }

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        for part, plan in self.layout.plans(arch):
            x = self._part(part, plan, x)
        return x.flatten(1)

    def _part(self, part: Part, plan: Plan, x: Tensor) -> Tensor:
        graph, values = part.body, [x]
        readers = Counter(i for node in graph.nodes for i in node.inputs)
        for node, take in list(zip(graph.nodes, plan.takes, strict=True))[1:]:
            keeps = isinstance(node.layer, ELEMENTWISE | Linear)
            inputs = [values[i] if keeps else _map(values[i]) for i in node.inputs]
            if take is None:
                values.append(lower(node.layer, Eager(NO_CODE, {}, node, graph, readers), *inputs))
            else:
                values.append(self._weighted(node.layer, take, inputs[0]))
        return values[-1]

    def _weighted(self, layer: Layer, take: Take, x: Tensor) -> Tensor:
        self.steps[self.keys[take.key]] += 1
        if isinstance(layer, Module):
            own: Tensor = self.get_submodule(take.key)(x)
            return own
        return apply(layer, slices(layer, take, self._tensors), x)


@dataclass(frozen=True, slots=True)
class Eager(Site):
    """Where a layer without weights is run at once, by the lowering that a torch module is built
    by."""

    def call(self, module: nn.Module, x: Tensor) -> Any:
        return module(x)


def apply(layer: Layer, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """A layer with weights: as its torch module computes in training mode."""
    get = weights.get
    match layer:
        case Conv():
            x = _convolved(layer, x, weights["conv.weight"], get("conv.bias"))
            x = _normalised(x, get("norm.weight"), weights["norm.bias"]) if layer.norm else x
            return _activated(x, layer.act)
        case Linear():
            x = F.linear(x.flatten(1), weights["linear.weight"], get("linear.bias"))
            return _activated(x, layer.act)
    return _normalised(x, get("weight"), weights["bias"])


def _convolved(layer: Conv, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None and is_depthwise(layer) and layer.inputs == layer.outputs:
        _, height, width = layer.shape((layer.inputs, x.shape[2], x.shape[3]))
        if height * width < math.prod(layer.kernel):
            return small_depthwise(x, weight, layer.stride, layer.padding)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, 1, layer.groups)


def _normalised(x: Tensor, scale: Tensor | None, shift: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, scale, shift, training=True, eps=EPSILON)


def _activated(x: Tensor, act: Act | None) -> Tensor:
    return ACTIVATIONS[act](True)(x) if act else x


def _map(x: Tensor) -> Tensor:
    """(batch, c) → (batch, c, 1, 1)."""
    return x[:, :, None, None] if x.ndim == 2 else x


def _initial(leaf: str, shape: tuple[int, ...], each: bool, generator: torch.Generator) -> Tensor:
    if len(shape) == 1:
        return torch.zeros(shape) if leaf.endswith("bias") else torch.ones(shape)
    if len(shape) == 2:
        return torch.empty(shape).normal_(std=0.01, generator=generator)
    filters = shape[0] * shape[1] if each else shape[0]
    std = math.sqrt(2 / (filters * math.prod(shape[2:])))
    return torch.empty(shape).normal_(std=std, generator=generator)
