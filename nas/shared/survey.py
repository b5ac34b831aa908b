"""What a space reaches: the layout that holds every architecture of it, found before training.

Shapes follow from architectures, not from the text of a space, so they are read off a few hundred
of them: for each family alone and for all mixed, settings mostly at their largest, where most
shapes are, and at random. What the survey misses does not fit the layout, and that is said
(`Outgrown`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nas.arch import Architecture
from nas.layers import Conv, Layer, Module
from nas.shared.layout import (
    Layout,
    Own,
    Part,
    flow,
    image_slots,
    parts_of,
    tensors_of,
)
from nas.shared.slots import Made, Slots, is_depthwise, outputs_of
from nas.space import Params, Space, Value

MOSTLY_LARGEST, RANDOM = 200, 60  # architectures of each family


def survey(space: Space) -> Layout:
    """The layout of a space; raises InputError where none of its architectures can be built."""
    return layout_of(_architectures(space))


def _architectures(space: Space) -> Iterator[Architecture]:
    rng = random.Random(0)
    for params in _draws(space, rng):
        try:
            yield space.architecture(params)
        except Exception:  # a user's block may raise anything
            continue


def _draws(space: Space, rng: random.Random) -> Iterator[Params]:
    """Settings of each family and mixed: mostly at their largest, then at random."""
    for fixed in (*space.families().values(), {}):
        for _ in range(MOSTLY_LARGEST):
            parameters = space.parameters.items()
            yield {path: _mostly_largest(p.values, rng) for path, p in parameters} | fixed
        for _ in range(RANDOM):
            yield space.sample(rng) | fixed


def _mostly_largest(values: Sequence[Value], rng: random.Random) -> Value:
    """The largest number in six of eight draws, the smallest in one, any in one; any word."""
    if any(isinstance(value, str | bool) for value in values):
        return rng.choice(values)
    draw = rng.randrange(8)
    return rng.choice(values) if draw == 0 else (min if draw == 1 else max)(values)


def layout_of(archs: Iterable[Architecture]) -> Layout:
    """The least layout that holds all of these architectures."""
    walks = []
    for arch in archs:
        try:
            walks.append((image_slots(arch), list(parts_of(arch))))
        except ValueError:  # a block that raised
            continue
    found = {part for _, walk in walks for part in walk}
    layout = Layout(_made(found), {}, {}, {}, _modules(found))
    _enter(layout, walks)
    return layout


def _made(parts: Iterable[Part]) -> dict[str, Made]:
    """By key, what a layer makes at most; depthwise only where it always is."""
    layers = defaultdict[str, set[Layer]](set)
    for part in parts:
        for node in part.body.nodes:
            if outputs_of(node.layer):
                layers[part.key(node)].add(node.layer)
    return {key: _most(found) for key, found in layers.items()}


def _most(layers: Collection[Layer]) -> Made:
    if all(is_depthwise(layer) for layer in layers):
        return Made(max(x.outputs // x.inputs for x in layers if isinstance(x, Conv)), each=True)
    return Made(max(outputs_of(layer) for layer in layers))


def _modules(parts: Iterable[Part]) -> dict[str, Own]:
    """A person's own torch modules by key."""
    return {
        part.key(node): Own(node.layer, part.body.nodes[node.inputs[0]].shape[0])
        for part in parts
        for node in part.body.nodes
        if isinstance(node.layer, Module)
    }


def _enter(layout: Layout, walks: Sequence[tuple[Slots, list[Part]]]) -> None:
    """Fill in a layout place by place, since what enters one has left those before."""
    waiting = [(next(walk), x, walk) for x, walk in ((x, iter(parts)) for x, parts in walks)]
    while waiting:
        place = min((part.place for part, _, _ in waiting), key=_rank)
        here = [entry for entry in waiting if entry[0].place == place]
        waiting = [entry for entry in waiting if entry[0].place != place]
        layout.entries[place] = max(x.size for _, x, _ in here)
        left = {(part, x): _grow(layout, part, x) for part, x in {entry[:2] for entry in here}}
        _exit(layout, left)
        for part, x, walk in here:
            if following := next(walk, None):
                waiting.append((following, layout.leaving(part, left[part, x]), walk))


def _exit(layout: Layout, left: Mapping[tuple[Part, Slots], Slots]) -> None:
    """Note all slots that leave a place."""
    used = defaultdict[str, set[int]](set)
    for (part, _), output in left.items():
        used[part.exit].update(output.of)
    layout.exits.update({key: sorted(slots) for key, slots in used.items()})


def _rank(place: str) -> tuple[int, ...]:
    """stem, stages.0.0, stages.0.1, …, head."""
    kind, *numbers = place.split(".")
    return ("stem", "stages", "head").index(kind), *map(int, numbers)


def _grow(layout: Layout, part: Part, x: Slots) -> Slots:
    """Make room for a part; the slots that leave it."""
    entering = output = x._replace(size=layout.entries[part.place])
    for node, inputs, output in flow(part, entering, layout.made):
        key = part.key(node)
        for leaf, shape in tensors_of(node.layer, layout.made.get(key), inputs, output).items():
            kept = layout.shapes.setdefault(key, {})
            kept[leaf] = tuple(map(max, shape, kept.get(leaf, shape)))
    return output
