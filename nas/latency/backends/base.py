"""The interface of an inference engine, and what all of them are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.graph import Graph
from nas.latency.stopwatch import Run, Stopwatch

Weights: TypeAlias = Mapping[str, NDArray[Any]]  # nas.net.build(graph).state_dict() as arrays


class Backend(Protocol):
    """An inference engine."""

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        """Compile a network for one image; the result runs it once and returns the scores.

        The image is that of `image(graph)`. Without `weights` they are random. Raises InputError
        for a network or a machine that the engine cannot serve.
        """
        ...

    def stopwatch(self, threads: int) -> Stopwatch:
        """The clock whose time counts as the latency with so many threads."""
        ...


def image(graph: Graph) -> NDArray[np.float32]:
    """The image that every engine is given: (1, c, h, w), standard normal."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((1, *graph.input), dtype=np.float32)
