"""Scores of untrained networks, by name: `zero_cost(arch, batch)`.

They order networks and mean nothing else: none is an accuracy. A search that ranks by one all the
same (`--proxy zero-cost`) has its standing among random networks: untrained.py, scoring.py. On
NAS-Bench-Macro only NASWOT orders better than counting MACs, and counting activations does as well
(docs/ranking.md). All are deterministic by seed on the CPU.

    synflow   how much of an image of ones flows through the weights
    naswot    how differently images switch the activations on
    zen       how much the features change with the input, batch norm undone
    zico      how steady gradients are from batch to batch
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nas.arch import Architecture, hint, trace
from nas.errors import InputError
from nas.graph import Graph
from nas.proxies.batch import Batch, first_images
from nas.proxies.naswot import naswot
from nas.proxies.synflow import synflow
from nas.proxies.zen import zen
from nas.proxies.zico import zico

__all__ = ["PROXIES", "Batch", "first_images", "naswot", "synflow", "zen", "zero_cost", "zico"]

PROXIES: dict[str, Callable[[Graph, Batch, int], float]] = {
    "synflow": synflow,
    "naswot": naswot,
    "zen": zen,
    "zico": zico,
}


def zero_cost(
    network: Architecture | Graph,
    batch: Batch,
    *,
    seed: int = 0,
    names: Sequence[str] = tuple(PROXIES),
) -> dict[str, float]:
    """The scores of an untrained network; more is better. Raises InputError for an unknown name.

    `batch`: images that suit the network's input, see `first_images`; `seed`: of the weights.
    """
    graph = trace(network) if isinstance(network, Architecture) else network
    for name in names:
        if name not in PROXIES:
            raise InputError(f"score {name!r}: no such score; {hint(name, PROXIES)}")
    return {name: PROXIES[name](graph, batch, seed) for name in names}
