"""Latency from a network's graph, learnt from times of other whole networks on a device.

    estimator = LatencyEstimator.fit(graphs, milliseconds)
    ms, low, high = estimator.predict(graph)                  # in less than a millisecond

Any device will do, and any way to time it. `nas.latency.regression` has the method,
docs/latency_tables.md its figures. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, isfinite, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nas.blas import one_blas_thread
from nas.errors import InputError
from nas.graph import Graph
from nas.latency.features import REFETCH, Array, Kernels, kernels_of
from nas.latency.regression import Correction, Rates, sight_of
from nas.latency.sealed import read_sealed, write_sealed

FEWEST = 8  # networks that an estimator can be fitted to
LANES = (16, 8)  # floats in a vector register: AVX-512; AVX2 and two registers of NEON
FOLDS = 5
CONFIDENCE = 0.95
KIND = "latency estimator"


class Estimate(NamedTuple):
    """Milliseconds of one image, and the bounds of a 95 % interval."""

    ms: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LatencyEstimator:
    """Latency on one device; `spread` widens its standard deviation to a 95 % interval."""

    lanes: int
    rates: Rates
    correction: Correction
    spread: float
    networks: int

    @classmethod
    @one_blas_thread()
    def fit(cls, graphs: Sequence[Graph], milliseconds: Sequence[float]) -> LatencyEstimator:
        """Learn from whole networks and their times, which may be of any unit.

        Raises InputError for fewer than eight networks and for times that are no positive numbers.
        """
        _check(graphs, milliseconds)
        ms = np.array(milliseconds, dtype=float)
        lanes, networks = _suited(graphs, ms)
        spread = _spread(networks, ms)
        return cls(lanes, *_fit(networks, ms), spread, len(ms))

    def predict(self, graph: Graph) -> Estimate:
        """The network's milliseconds with a 95 % interval."""
        ms, deviation = _predict(self.rates, self.correction, kernels_of(graph, self.lanes))
        margin = exp(self.spread * deviation)
        return Estimate(ms, ms / margin, ms * margin)

    def unseen(self, graph: Graph) -> tuple[str, ...]:
        """Kinds of kernels that no network had from which this was learnt.

        Their time is that of the same work in kernels that only move numbers, and the interval
        knows of it.
        """
        found = dict.fromkeys(kernels_of(graph, self.lanes).kinds)
        return tuple(k for k in found if k not in self.rates.kinds and k not in REFETCH)

    def save(self, path: str | Path) -> None:
        """Write JSON with a checksum."""
        write_sealed(path, KIND, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> LatencyEstimator:
        """Read what `save` wrote; raises InputError where it was cut or altered."""
        return cls.from_dict(read_sealed(path, KIND))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` reads it back."""
        correction = self.correction
        return {
            "lanes": self.lanes,
            "networks": self.networks,
            "spread": self.spread,
            "kinds": list(self.rates.kinds),
            "rates": _plain(self.rates.table),
            "centres": _plain(correction.centres),
            "mean": _plain(correction.mean),
            "variance": _plain(correction.variance[np.tril_indices(len(correction.mean))]),
            "scale": correction.scale,
            "noise": correction.noise,
            "small": correction.small,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LatencyEstimator:
        kinds = {kind: i for i, kind in enumerate(data["kinds"])}
        mean = np.array(data["mean"])
        variance = np.zeros((len(mean), len(mean)))
        variance[np.tril_indices(len(mean))] = data["variance"]
        variance += np.tril(variance, -1).T
        correction = Correction(
            np.array(data["centres"]), mean, variance, data["scale"], data["noise"], data["small"]
        )
        rates = Rates(kinds, np.array(data["rates"]))
        return cls(data["lanes"], rates, correction, data["spread"], data["networks"])


def _plain(array: Array) -> Any:
    """Nested lists of nine digits, which is what single precision holds."""
    return np.vectorize(lambda x: float(f"{x:.9g}"), otypes=[float])(array).tolist()


def _check(graphs: Sequence[Graph], milliseconds: Sequence[float]) -> None:
    if len(graphs) != len(milliseconds):
        raise InputError(f"estimator: got {len(graphs)} networks, but {len(milliseconds)} times")
    if len(graphs) < FEWEST:
        raise InputError(f"estimator: expected {FEWEST} networks or more, got {len(graphs)}")
    for i, ms in enumerate(milliseconds):
        if not (isfinite(ms) and ms > 0):
            raise InputError(f"estimator: network {i}: expected a time above zero, got {ms!r} ms")


def _suited(graphs: Sequence[Graph], ms: Array) -> tuple[int, list[Kernels]]:
    """The lanes whose kernels tell the times best, and these kernels."""
    found = {lanes: [kernels_of(graph, lanes) for graph in graphs] for lanes in LANES}
    return min(found.items(), key=lambda item: _error(item[1], ms))


def _error(networks: Sequence[Kernels], ms: Array) -> float:
    from nas.latency.fitting import fit_rates

    rates = fit_rates(networks, ms)
    sums = np.array([rates.times(network).sum() for network in networks])
    return float(np.mean(abs(sums / ms - 1)))


def _fit(networks: Sequence[Kernels], ms: Array) -> tuple[Rates, Correction]:
    from nas.latency.fitting import fit_correction, fit_rates  # scipy, which estimates need not

    rates = fit_rates(networks, ms)
    return rates, fit_correction([sight_of(rates, network) for network in networks], ms)


def _predict(rates: Rates, correction: Correction, network: Kernels) -> tuple[float, float]:
    """Milliseconds, and the standard deviation of their logarithm."""
    sight = sight_of(rates, network)
    mean, deviation = correction.predict(sight)
    return sight.ms * exp(mean), deviation


def _spread(networks: Sequence[Kernels], ms: Array) -> float:
    """Standard deviations within which 95 % of networks lie that were left out of the fit.

    Conformal prediction by cross-validation, so that no law of the errors is assumed; Papadopoulos,
    Proedrou, Vovk, Gammerman: Inductive confidence machines for regression, 2002.
    """
    scores = []
    for fold in range(FOLDS):
        inner = [i for i in range(len(ms)) if i % FOLDS != fold]
        fitted = _fit([networks[i] for i in inner], ms[inner])
        for i in range(fold, len(ms), FOLDS):
            found, deviation = _predict(*fitted, networks[i])
            scores.append(abs(log(ms[i] / found)) / deviation)
    rank = min(ceil(CONFIDENCE * (len(ms) + 1)), len(ms))
    return sorted(scores)[rank - 1]
