"""Random networks of all families and sizes, which a device's table is made from.

Half are of the space `mobile`, which mixes all families, the others of the other shipped spaces in
turn, each at a resolution, width and number of classes of its own: a table must know more kernels
than one search will meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from nas.arch import Architecture, Stage, trace
from nas.blocks import round_width
from nas.cost import cost
from nas.space import Space
from nas.space_file import load_space, space_names

MIXED = "mobile"
RESOLUTIONS = (32, 64, 96, 128, 160, 192, 224, 256, 320)  # pixels
WIDTHS = (0.75, 1.0, 1.0, 1.0, 1.5, 2.0)  # multiplies what the space says
DIVISORS = (2, 4, 8, 8, 16)  # of the widths: engines have kernels for some of them only
CLASSES = (10, 100, 1000)
LARGEST = 3e9  # MACs; a larger network takes the time of ten others


def sample_networks(count: int, seed: int = 0) -> list[Architecture]:
    """So many distinct random architectures; a larger count goes on where a smaller one ends."""
    return list(islice(_distinct(_drawn(random.Random(seed))), count))


def _drawn(rng: random.Random) -> Iterator[Architecture]:
    mixed = load_space(MIXED)
    others = [load_space(name) for name in space_names() if name != MIXED]
    while True:
        for space in others:
            yield _draw(mixed, rng)
            yield _draw(space, rng)


def _draw(space: Space, rng: random.Random) -> Architecture:
    """An architecture of at most `LARGEST` MACs whose maps suit its strides."""
    while True:
        side, classes = rng.choice(RESOLUTIONS), rng.choice(CLASSES)
        bound = space.bind(resolution=side, classes=classes)
        drawn = bound.architecture(bound.sample(rng))
        arch = _widened(drawn, rng.choice(WIDTHS), rng.choice(DIVISORS))
        try:
            if cost(trace(arch)).macs <= LARGEST:
                return arch
        except ValueError:  # a map that is too small for a kernel
            continue


def _widened(arch: Architecture, factor: float, divisor: int) -> Architecture:
    """The architecture with the widths of stem and stages multiplied and rounded."""

    def widen(stage: Stage) -> Stage:
        return replace(stage, width=round_width(stage.width * factor, divisor))

    stages = tuple(widen(stage) for stage in arch.stages)
    return replace(arch, stem=widen(arch.stem), stages=stages)


def _distinct(archs: Iterator[Architecture]) -> Iterator[Architecture]:
    seen = set()
    for arch in archs:
        if arch not in seen:
            seen.add(arch)
            yield arch
