"""All kernels that an engine runs for a network, read off its graph: what an estimate adds up.

Where a kernel wants another layout than the one before it left, the map is reordered, once. What a
run moves beyond a cache drives the weights out of it, which are then fetched anew in every run:
`refetch` stands for these.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.graph import Graph
from nas.latency.kernels import RUN, Kernel, Size, Work, reorder, run

REFETCH = {f"refetch-{2**n}MiB": 2 ** (18 + n) for n in (0, 2, 4)}  # kind → floats in a cache
Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kernels:
    """The n different kernels of a network: their work in all calls (n, 8), log2 size (n, 6)."""

    kinds: tuple[str, ...]
    work: Array
    size: Array


def kernels_of(graph: Graph, lanes: int) -> Kernels:
    """What an engine of so many lanes runs for one image."""
    found = [RUN, *_walk(graph, False, lanes)[0]]
    found += _refetched(found)
    # Equal kernels are mostly one object, since they are cached, and so need no comparison.
    calls = Counter(map(id, found))
    different = list({id(kernel): kernel for kernel in found}.values())
    work = np.array([k.work for k in different]) * np.array(list(calls.values()))[:, None]
    return Kernels(tuple([k.kind for k in different]), work, np.log2([k.size for k in different]))


def _refetched(found: list[Kernel]) -> list[Kernel]:
    """Reading weights anew, by the share of all that is moved that exceeds a cache."""
    weights = sum([k.work.weights for k in found])
    moved = weights + sum([k.work.read + k.work.written for k in found])
    return [
        Kernel(kind, Work(calls=0, read=weights * (1 - cache / moved)), Size())
        for kind, cache in REFETCH.items()
        if moved > cache
    ]


def _walk(graph: Graph, entry: bool, lanes: int) -> tuple[list[Kernel], bool]:
    """The kernels of a graph or a fragment whose input is blocked, or not; is its output?"""
    found: list[Kernel] = []
    blocked, items = [entry], graph.items
    reordered: set[tuple[int, bool]] = set()
    for layer, inputs, shape, _ in items[1:]:
        if isinstance(layer, Graph):
            inner, leaves = _walk_fragment(layer, blocked[inputs[0]], lanes)
            found += inner
            blocked.append(leaves)
            continue
        shapes, layouts = tuple([items[j][2] for j in inputs]), [blocked[j] for j in inputs]
        own, reads, leaves = run(layer, shapes, shape, all(layouts), lanes)
        for j, layout in zip(inputs, layouts, strict=True):
            if reads is not None and layout != reads and (j, reads) not in reordered:
                reordered.add((j, reads))
                found.append(reorder(items[j][2], reads))
        found += own
        blocked.append(leaves)
    return found, blocked[-1]


_walk_fragment = lru_cache(maxsize=2**8)(_walk)  # the blocks of a stage are alike
