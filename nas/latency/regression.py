"""What an estimate is the product of: rates of work, and a correction for the kernels' sizes.

    ms = Σ kernels time · exp(Σ kernels share · gain)        time = work · rate,  share = time / Σ

Rates are milliseconds by unit of work, a row a kind of kernel. The correction is what rates cannot
say: how well a kernel of a size does its work, as a Gaussian process over kernels of which only
sums are seen. So a kernel that is unlike all that were measured keeps its prior's variance, and the
more of the time it takes, the less sure is the whole. `nas.latency.fitting` learns both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import NamedTuple

import numpy as np

from nas.latency.features import Array, Kernels

OCTAVES = 3.0  # two kernels whose sizes differ by so much are alike by exp(-1/2)
APART = 100.0  # kinds are strangers
FAR = 40.0  # exp(-40) is nothing
UNKNOWN = 1.0  # a kind that was never seen may take e times as long, or as little


@dataclass(frozen=True, slots=True)
class Rates:
    """Milliseconds by unit of work: `table` (kinds + 1, 8), its last row for unknown kinds."""

    kinds: Mapping[str, int]
    table: Array

    def rows(self, kernels: Kernels) -> list[int]:
        """Each kernel's row in the table."""
        return [self.kinds.get(kind, len(self.kinds)) for kind in kernels.kinds]

    def times(self, kernels: Kernels) -> Array:
        """Each kernel's milliseconds, (n,)."""
        times: Array = (self.table[self.rows(kernels)] * kernels.work).sum(axis=1)
        return times


class Sight(NamedTuple):
    """A network as the correction sees it: the milliseconds that its rates give, its kernels.

    `places` (n + 1, 7) are their kinds, far from each other, and their sizes; `shares` (n + 1,) of
    the time. The last one is the network as a whole, by its time: what is quick is timed with
    its caches warm.
    """

    ms: float
    places: Array
    shares: Array


@dataclass(frozen=True, slots=True)
class Correction:
    """A Gaussian process over kernels: mean and deviation of a network's log residual.

    `centres` (m, 7) are kernels that stand for all; `mean` (m,) and `variance` (m, m) are of the
    process at them, in coordinates in which its prior is `scale`² · identity. Timing has the
    variance noise² · (1 + small / ms).
    """

    centres: Array
    mean: Array
    variance: Array
    scale: float
    noise: float
    small: float
    white: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "white", whitener(self.centres))

    def predict(self, sight: Sight) -> tuple[float, float]:
        """Mean and standard deviation of a network's log residual."""
        places, shares = sight.places, sight.shares
        gain = shares @ likeness(places, self.centres) @ self.white
        # What the centres leave of the prior's variance: next to nothing for kernels like them.
        left = max(float(shares @ likeness(places, places) @ shares - gain @ gain), 0.0)
        unknown = UNKNOWN * shares[places[:, 0] < 0].sum()
        noise = self.noise**2 * (1 + self.small / sight.ms)
        variance = gain @ self.variance @ gain + self.scale**2 * left + unknown**2 + noise
        return float(gain @ self.mean), sqrt(variance)


def whitener(centres: Array) -> Array:
    """The matrix (m, m) that takes likeness to the centres to independent coordinates."""
    # Centres are a little apart, so that this is well conditioned.
    return np.linalg.inv(np.linalg.cholesky(likeness(centres, centres))).T


def sight_of(rates: Rates, kernels: Kernels) -> Sight:
    """Where a network's kernels lie, and what they take."""
    times = rates.times(kernels)
    ms = float(times.sum())
    rows = np.array(rates.rows(kernels), dtype=float)
    rows[rows == len(rates.kinds)] = -1  # a kind without a rate lies below zero
    places = np.column_stack([APART * rows, kernels.size / OCTAVES])
    whole = np.zeros((1, places.shape[1]))
    whole[0, :2] = APART * len(rates.kinds), np.log2(ms)
    return Sight(ms, np.vstack([places, whole]), np.append(times / ms, 1.0))


def likeness(a: Array, b: Array) -> Array:
    """exp(-d²/2) of each place in `a` (n, 7) to each in `b` (m, 7): (n, m)."""
    half = (a**2).sum(axis=1)[:, None] / 2 + (b**2).sum(axis=1) / 2 - a @ b.T
    found: Array = np.exp(-np.clip(half, 0, FAR))  # exp is slow where it underflows
    return found
