"""What a search believes of latencies that it has not measured, learnt from those that it has."""

from __future__ import annotations

from statistics import median

from nas.cost import cost
from nas.graph import Graph
from nas.latency.estimator import FEWEST, Estimate, LatencyEstimator

GROWTH = 1.25  # of the number of measurements, after which the estimator is fitted again
INTENSITY = 10  # multiply–accumulates that take as long as a byte, before anything is known


class Learner:
    """Fits a LatencyEstimator to a search's own timings, again as they grow.

    Until there are enough of them, a guess by MACs and bytes stands in. `version` grows with every
    fit.
    """

    def __init__(self) -> None:
        self.version = 0
        self._estimator: LatencyEstimator | None = None
        self._graphs: list[Graph] = []
        self._ms: list[float] = []
        self._fitted = 0

    def tell(self, graph: Graph, ms: float) -> None:
        """A network was timed."""
        self._graphs.append(graph)
        self._ms.append(ms)
        if len(self._ms) >= max(FEWEST, GROWTH * self._fitted):
            self._estimator = LatencyEstimator.fit(self._graphs, self._ms)
            self._fitted = len(self._ms)
            self.version += 1

    def predict(self, graph: Graph) -> Estimate:
        """Milliseconds; a guess has no bounds, and where nothing was timed no unit."""
        if self._estimator:
            return self._estimator.predict(graph)
        rates = [ms / _work(known) for known, ms in zip(self._graphs, self._ms, strict=True)]
        return Estimate(_work(graph) * (median(rates) if rates else 1.0), 0.0, float("inf"))


def _work(graph: Graph) -> float:
    found = cost(graph)
    return found.macs + INTENSITY * found.traffic
