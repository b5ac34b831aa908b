"""What a shared network keeps for a space, and which part of it an architecture is.

A weight is known by its place, the block's family there, and its layer's path in the block:
stages/1/0/ghost/expand/primary/conv/weight. Of each there is one tensor, as large as the space
reaches at that place, whatever the other settings of the block: widths, kernels, groups and ratios
take parts of the same tensor. Families have weights of their own, and so have layers that only
some settings have, such as those of attention.

    convolution       (outputs, inputs, kh, kw), also where it is grouped: a group takes the pairs
                      of its own outputs and inputs
    depthwise         (filters a channel, channels, kh, kw)
    linear layer      (outputs, inputs)
    bias, batch norm  (channels,)

All dimensions are slots (`nas.shared.slots`), and kernels are taken at their centre. On leaving a
block, slots that no architecture uses are closed up: else splits and joins, which know only what
enters them, would make each block's tensors wider than the last one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, TypeAlias

import torch

from nas.arch import Architecture, parts, trace
from nas.blocks import name_of
from nas.graph import Graph, Node
from nas.layers import Conv, Layer, Linear, Module, Norm
from nas.shared.slots import Made, Slots, outgoing, outputs_of

Pick: TypeAlias = slice | torch.Tensor  # along one dimension
Shape: TypeAlias = tuple[int, ...]
PLANS = 2**12  # that are remembered; an architecture takes about twenty


class Outgrown(ValueError):
    """An architecture that reaches beyond what the shared network keeps."""


class Part(NamedTuple):
    """A block, stem or head in its place; `body` is its graph."""

    place: str
    family: str
    body: Graph

    @property
    def exit(self) -> str:
        """What the slots that leave it are known by."""
        return f"{self.place}/{self.family}"

    def key(self, node: Node) -> str:
        """What the weights of one of its layers are known by."""
        own = ""
        if isinstance(node.layer, Module):  # nothing of it can be shared between widths
            factory = node.layer.factory
            channels = self.body.nodes[node.inputs[0]].shape[0]
            own = f"/{factory.__module__}/{factory.__qualname__}/{channels}"
        return f"{self.place}/{self.family}/{node.path}{own}".replace(".", "/")


class Own(NamedTuple):
    """A torch module of a person's own, which is not sliced, and the channels that enter it."""

    layer: Module
    channels: int


class Take(NamedTuple):
    """The part of a key's tensors that a layer is given.

    `blocks` are the (outputs, inputs) of each group, `channels` those of bias and batch norm.
    With `each` there are filters of each channel in place of outputs.
    """

    key: str
    each: bool
    blocks: tuple[tuple[Pick, Pick], ...]
    channels: Pick


class Plan(NamedTuple):
    """What each node of a part takes, None where it has no weights; the slots of its output."""

    takes: tuple[Take | None, ...]
    output: Slots


class Layout:
    """What a shared network keeps: what layers make at most, the shapes of their tensors by leaf,
    torch modules, all by key; the size of what enters a place, and the slots that leave it by
    place/family. A tensor's name is key/leaf."""

    def __init__(
        self,
        made: dict[str, Made],
        entries: dict[str, int],
        exits: dict[str, list[int]],
        shapes: dict[str, dict[str, Shape]],
        modules: dict[str, Own],
    ) -> None:
        self.made, self.entries, self.exits = made, entries, exits
        self.shapes, self.modules = shapes, modules
        self._plan = lru_cache(PLANS)(self._planned)  # goes when the layout does

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, all but the modules: a checkpoint's weights name these."""
        shapes = {
            key: {leaf: list(shape) for leaf, shape in leaves.items()}
            for key, leaves in self.shapes.items()
        }
        made = {key: list(most) for key, most in self.made.items()}
        return {"made": made, "entries": self.entries, "exits": self.exits, "shapes": shapes}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Layout:
        """Read what `to_dict` wrote."""
        shapes = {
            key: {leaf: tuple(shape) for leaf, shape in leaves.items()}
            for key, leaves in data["shapes"].items()
        }
        made = {key: Made(*most) for key, most in data["made"].items()}
        return cls(made, data["entries"], data["exits"], shapes, {})

    @property
    def keys(self) -> set[str]:
        """The layers that have weights."""
        return {*self.shapes, *self.modules}

    @property
    def params(self) -> int:
        """Learnable numbers, those of a person's own modules too."""
        own = sum(own.layer.params for own in self.modules.values())
        return own + sum(prod(shape) for ours in self.shapes.values() for shape in ours.values())

    def plans(self, arch: Architecture) -> Iterator[tuple[Part, Plan]]:
        """Every part of an architecture with what it takes; raises Outgrown."""
        x = image_slots(arch)
        for part in parts_of(arch):
            plan = self._plan(part, x)
            yield part, plan
            x = plan.output

    def holds(self, arch: Architecture) -> bool:
        """Whether nothing of an architecture reaches beyond what is kept."""
        try:
            return bool([*self.plans(arch)])
        except Outgrown:
            return False

    def _planned(self, part: Part, entering: Slots) -> Plan:
        size = self.entries.get(part.place, 0)
        if entering.size > size:
            raise Outgrown(f"{part.place}: {entering.size} channels enter, of {size} that are kept")
        takes, output = list[Take | None](), entering
        for node, inputs, output in flow(part, entering._replace(size=size), self.made):
            key = part.key(node)
            each = key in self.made and self.made[key].each
            self._check(part, node, inputs, output)
            takes.append(_take(key, each, node.layer, inputs, output))
        return Plan(tuple(takes), self.leaving(part, output))

    def leaving(self, part: Part, output: Slots) -> Slots:
        """The slots of a part's output, closed up; raises Outgrown.

        One that the survey has not met, of a rare order of shuffles, becomes a free one that it
        has: any choice is a network, if only it is always the same.
        """
        rank = {slot: n for n, slot in enumerate(self.exits.get(part.exit, []))}
        if len(output.of) > len(rank):
            raise Outgrown(f"{part.place}: {len(output.of)} channels leave, {len(rank)} are kept")
        met = {rank[slot] for slot in output.of if slot in rank}
        free = (n for n in range(len(rank)) if n not in met)
        return Slots(tuple(rank[s] if s in rank else next(free) for s in output.of), len(rank))

    def _check(self, part: Part, node: Node, inputs: Sequence[Slots], output: Slots) -> None:
        most = self.made.get(part.key(node))
        for leaf, shape in tensors_of(node.layer, most, inputs, output).items():
            kept = self.shapes.get(part.key(node), {}).get(leaf, ())
            if len(kept) != len(shape) or any(n > m for n, m in zip(shape, kept, strict=True)):
                raise Outgrown(
                    f"{part.place}.{node.path}: {leaf} needs {shape}, the shared network "
                    f"keeps {kept or 'none'}"
                )


def family_of(key: str) -> str:
    """The block's family that a key names after its place: stages/1/0/FAMILY/…, stem/FAMILY/…"""
    parts = key.split("/")
    return parts[3] if parts[0] == "stages" else parts[1]


def image_slots(arch: Architecture) -> Slots:
    """Those of the input image."""
    channels = arch.input[0]
    return Slots(tuple(range(channels)), channels)


def parts_of(arch: Architecture) -> Iterator[Part]:
    """Stem, blocks and head in order, those that do nothing left out."""
    families = {place: name_of(part) for place, part, _ in parts(arch)}
    for body, _, _, prefix in trace(arch).items[1:]:
        assert isinstance(body, Graph)  # an architecture is recorded part by part
        place = prefix.removesuffix(".")
        yield Part(place, families[place], body)


def flow(
    part: Part, entering: Slots, made: Mapping[str, Made]
) -> Iterator[tuple[Node, tuple[Slots, ...], Slots]]:
    """Each node of a part with the slots of its inputs and of its output."""
    found = [entering]
    yield part.body.nodes[0], (), entering
    for node in part.body.nodes[1:]:
        most = made.get(part.key(node))
        if most is None and outputs_of(node.layer):
            raise Outgrown(f"{part.place}.{node.path}: the shared network keeps no such layer")
        inputs = tuple(found[i] for i in node.inputs)
        found.append(outgoing(node.layer, most, *inputs))
        if len(found[-1].of) != node.shape[0]:
            raise TypeError(f"{part.place}.{node.path}: no rule for the slots of {node.layer}")
        yield node, inputs, found[-1]


def leaves(layer: Layer) -> tuple[str, ...]:
    """The names of a layer's tensors, those of its torch module with / for a point."""
    match layer:
        case Conv():
            bias, norm = ("conv/bias",), ("norm/weight", "norm/bias")
            return ("conv/weight", *bias * layer.bias, *norm * layer.norm)
        case Linear():
            return ("linear/weight", *("linear/bias",) * layer.bias)
        case Norm():
            return (*("weight",) * layer.scale, "bias")
    return ()


def tensors_of(
    layer: Layer, most: Made | None, inputs: Sequence[Slots], output: Slots
) -> dict[str, Shape]:
    """The shapes of the tensors, by leaf, that a layer of such inputs and output is part of."""
    shapes: dict[str, Shape] = dict.fromkeys(leaves(layer), (output.size,))
    match layer:
        case Conv():
            each = most and most.each
            outputs = layer.outputs // layer.inputs if each else layer.outputs
            shapes["conv/weight"] = outputs, inputs[0].size, *layer.kernel
        case Linear():
            shapes["linear/weight"] = layer.outputs, inputs[0].size
    return shapes


def _take(
    key: str, each: bool, layer: Layer, inputs: Sequence[Slots], output: Slots
) -> Take | None:
    match layer:
        case Conv() if each:
            filters = slice(0, layer.outputs // layer.inputs)
            return Take(key, each, ((filters, _pick(inputs[0].of)),), _pick(output.of))
        case Conv() | Linear():
            groups = layer.groups if isinstance(layer, Conv) else 1
            rows, columns = _chunks(output.of, groups), _chunks(inputs[0].of, groups)
            return Take(key, each, tuple(zip(rows, columns, strict=True)), _pick(output.of))
        case Norm():
            return Take(key, each, (), _pick(output.of))
        case Module():
            return Take(key, each, (), slice(0))
    return None


def _chunks(slots: Sequence[int], groups: int) -> list[Pick]:
    width = len(slots) // groups
    return [_pick(slots[n : n + width]) for n in range(0, len(slots), width)]


def _pick(slots: Sequence[int]) -> Pick:
    first, last = slots[0], slots[-1]
    whole = range(first, last + 1)
    return slice(first, last + 1) if list(slots) == list(whole) else torch.tensor(slots)
