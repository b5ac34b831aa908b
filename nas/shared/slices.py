"""The weights of an architecture, taken from those of its shared network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.arch import Architecture
from nas.layers import Conv, Layer, Module
from nas.shared.layout import Layout, Pick, Take, leaves


def state_dict(
    layout: Layout, tensors: Mapping[str, Tensor], arch: Architecture
) -> dict[str, Tensor]:
    """An architecture's own weights by the names of `nas.build(arch)`; raises Outgrown.

    They are copies. Batch norm's running statistics are not among them: what one architecture's
    are says nothing of another's.
    """
    found = {}
    for part, plan in layout.plans(arch):
        for node, take in zip(part.body.nodes, plan.takes, strict=True):
            if take:
                for leaf, tensor in slices(node.layer, take, tensors).items():
                    found[f"{part.place}.{node.path}.{leaf}"] = tensor.detach().clone()
    return found


def slices(layer: Layer, take: Take, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layer's weights by their names in its torch module: views where that is possible."""
    prefix = f"{take.key}/"
    if isinstance(layer, Module):
        prefix = f"{take.key}."
        return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
    return {
        leaf.replace("/", "."): _part(layer, take, leaf, tensors[prefix + leaf])
        for leaf in leaves(layer)
    }


def _part(layer: Layer, take: Take, leaf: str, tensor: Tensor) -> Tensor:
    if tensor.ndim == 1:
        return pick(tensor, 0, take.channels)
    blocks = [pick(pick(tensor, 0, rows), 1, columns) for rows, columns in take.blocks]
    weight = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
    if not isinstance(layer, Conv):
        return weight
    weight = _centre(weight, layer.kernel)
    if not take.each:
        return weight
    # (filters, channels, …) → (channels · filters, 1, …), a channel's filters side by side
    return weight.transpose(0, 1).flatten(0, 1).unsqueeze(1)


def pick(tensor: Tensor, axis: int, slots: Pick) -> Tensor:
    """The slots of one dimension; a view where they follow each other."""
    if isinstance(slots, Tensor):
        return tensor.index_select(axis, slots)
    if slots.stop - slots.start == tensor.shape[axis]:
        return tensor
    return tensor.narrow(axis, slots.start, slots.stop - slots.start)


def _centre(weight: Tensor, kernel: tuple[int, int]) -> Tensor:
    """The middle of larger kernels; (out, in, kh, kw)."""
    for axis, size in enumerate(kernel, 2):
        if (most := weight.shape[axis]) > size:
            weight = weight.narrow(axis, (most - size) // 2, size)
    return weight
