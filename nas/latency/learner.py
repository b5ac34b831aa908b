"""What a search believes of latencies that it has not measured, learnt from those that it has."""

from __future__ import annotations

from functools import lru_cache
from math import inf
from statistics import median

from nas.arch import Architecture, trace
from nas.cost import cost
from nas.graph import Graph
from nas.latency.estimator import FEWEST, Estimate, LatencyEstimator

GROWTH = 1.25  # of the number of measurements, after which the estimator is fitted again
DOUBT = 3  # the factor by which a guess may be wrong
REMEMBERED = 2**13  # architectures that are not worked out again
INTENSITY = 10  # multiply–accumulates that take as long as a byte, before anything is known


class Learner:
    """Fits a LatencyEstimator to a search's own timings, again as they grow.

    Until there are enough of them, a guess by MACs and bytes stands in. `version` grows with every
    fit. `predict(arch)` is an `Estimate`, which is remembered until more is known.
    """

    def __init__(self) -> None:
        self.version = 0
        self._estimator: LatencyEstimator | None = None
        self._graphs: list[Graph] = []
        self._ms: list[float] = []
        self._fitted = 0
        self.predict = lru_cache(REMEMBERED)(self._predict)

    def tell(self, graph: Graph, ms: float) -> None:
        """A network was timed."""
        self._graphs.append(graph)
        self._ms.append(ms)
        if len(self._ms) >= max(FEWEST, GROWTH * self._fitted):
            self._estimator = LatencyEstimator.fit(self._graphs, self._ms)
            self._fitted = len(self._ms)
            self.version += 1
        if self._estimator is None or self._fitted == len(self._ms):
            self.predict.cache_clear()

    def _predict(self, arch: Architecture) -> Estimate:
        """Milliseconds; where nothing was timed there is no unit, and no bounds."""
        graph = trace(arch)
        if self._estimator:
            return self._estimator.predict(graph)
        if not self._ms:
            return Estimate(_work(graph), 0.0, inf)
        rates = [ms / _work(known) for known, ms in zip(self._graphs, self._ms, strict=True)]
        guess = _work(graph) * median(rates)
        return Estimate(guess, guess / DOUBT, guess * DOUBT)


def _work(graph: Graph) -> float:
    found = cost(graph)
    return found.macs + INTENSITY * found.traffic
