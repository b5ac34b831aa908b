"""How far two orders agree: Kendall's τ with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

SAMPLES = 1000  # of the bootstrap
FEWEST_NETWORKS = 4  # that a τ says something of


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's τ-b of `count` networks, with its 95 % interval."""

    tau: float
    low: float
    high: float
    count: int


def tau(scores: Sequence[float], truth: Sequence[float]) -> float:
    """Kendall's τ-b; 0 where one of them is constant."""
    found = float(kendalltau(scores, truth).statistic)
    return 0.0 if np.isnan(found) else found


def agreement(scores: Sequence[float], truth: Sequence[float], seed: int = 0) -> Agreement:
    """τ with the 95 % interval of bootstrap samples of the networks (percentiles)."""
    count = len(scores)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), SAMPLES)
    low, high = np.quantile(_taus(scores, truth, drawn), (0.025, 0.975))
    return Agreement(tau(scores, truth), float(low), float(high), count)


def _taus(
    scores: Sequence[float], truth: Sequence[float], times: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """τ-b of each sample that takes the networks so many `times`: (samples, networks) → (samples,).

    Σ aᵢⱼ bᵢⱼ / √(Σ aᵢⱼ² · Σ bᵢⱼ²), a and b the signs of differences: quadratic forms in `times`.
    """
    a, b = (np.sign(np.subtract.outer(x, x)) for x in (np.asarray(scores), np.asarray(truth)))
    both, own, other = (((times @ m) * times).sum(1) for m in (a * b, a * a, b * b))
    return np.asarray(both / np.sqrt(np.maximum(own * other, 1e-12)))
