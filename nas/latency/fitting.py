"""Learning rates and correction from the times of whole networks; see `nas.latency.regression`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import nnls

from nas.latency.features import REFETCH, Array, Kernels
from nas.latency.kernels import CONVOLUTIONS, Work
from nas.latency.regression import Correction, Rates, Sight, likeness, whitener

PRIOR = 0.05  # how strongly a rate is held to that of its group, against one network's error
LEAST = 0.02  # of the time, that each term of work takes in a group, at the least
CENTRES = 128  # kernels that stand for all others
NEAR = 0.02  # of a kernel's variance: what the centres leave of it when they are enough
# By evidence: deviations of log time, and times, in medians, below which noise grows.
SCALES, NOISES, SMALLS = (0.25, 0.5, 1.0), (0.02, 0.03, 0.05, 0.08, 0.12), (0.0, 1.0, 3.0, 10.0)


def fit_rates(networks: Sequence[Kernels], ms: Array) -> Rates:
    """Non-negative rates of the least relative error.

    Many kinds stand in few networks, so that each rate is held to that of all convolutions, or of
    all that only moves numbers. Those of `refetch` are held to nothing.
    """
    kinds = {kind: i for i, kind in enumerate(sorted({k for n in networks for k in n.kinds}))}
    work = np.zeros((len(networks), len(kinds), len(Work._fields)))
    for own, network in zip(work, networks, strict=True):
        np.add.at(own, [kinds[kind] for kind in network.kinds], network.work)
    work /= ms[:, None, None]
    trust = 1 / np.sqrt(1 + np.median(ms) / ms)  # timing small networks is noisier
    convolves = np.array([kind.removesuffix(".plain") in CONVOLUTIONS for kind in kinds])
    refetches = np.array([kind in REFETCH for kind in kinds])
    groups = (convolves, ~convolves & ~refetches)
    common = _common(np.stack([work[:, group].sum(axis=1) for group in groups], 1), trust)
    prior = np.where(convolves[:, None], common[0], common[1])
    goal = np.broadcast_to(~refetches[:, None], prior.shape)
    factors = _held(work * prior, goal, trust)
    return Rates(kinds, np.vstack([factors * prior, common[1]]))


def _common(work: Array, trust: Array) -> Array:
    """Rates of a few groups of kinds, (groups, 8), from their work by time (n, groups, 8)."""
    mean, rates = work.mean(axis=0), np.zeros(work[0].shape)
    done = mean > 0
    shares = nnls(work[:, done] / mean[done] * trust[:, None], trust)[0]
    rates[done] = np.maximum(shares, LEAST) / mean[done]
    return rates


def _held(relative: Array, goal: Array, trust: Array) -> Array:
    """Factors (kinds, 8) whose products with `relative` sum to one, held to a goal themselves."""
    used = relative.max(axis=0) > 0
    factors = goal.astype(float)
    rows = np.vstack([relative[:, used] * trust[:, None], PRIOR * np.eye(used.sum())])
    goals = np.concatenate([trust, PRIOR * factors[used]])
    factors[used] = nnls(rows, goals, maxiter=100 * len(rows))[0]
    return factors


def fit_correction(sights: Sequence[Sight], ms: Array) -> Correction:
    """The process that the measured times make likely.

    Its three numbers are those of the largest evidence; Rasmussen and Williams, Gaussian Processes
    for Machine Learning, 2006, chapter 5.
    """
    sums = np.array([sight.ms for sight in sights])
    centres = choose_centres(
        np.concatenate([sight.places for sight in sights]),
        np.concatenate([sight.shares for sight in sights]),
    )
    white = whitener(centres)
    seen = np.array([s.shares @ likeness(s.places, centres) @ white for s in sights])
    tried = (
        _posterior(seen, np.log(ms / sums), sums, scale, noise, small * float(np.median(sums)))
        for scale, noise, small in product(SCALES, NOISES, SMALLS)
    )
    _, found = max(tried, key=lambda pair: pair[0])
    return Correction(centres, *found)


def _posterior(
    seen: Array, residuals: Array, ms: Array, scale: float, noise: float, small: float
) -> tuple[float, tuple[Array, Array, float, float, float]]:
    """Log evidence up to a constant; mean and variance of the gains (m,), and what they assume."""
    m = seen.shape[1]
    trust = 1 / (noise**2 * (1 + small / ms))
    target = seen.T @ (trust * residuals)
    root = cholesky(np.eye(m) / scale**2 + (seen.T * trust) @ seen, lower=True)
    variance = cho_solve((root, True), np.eye(m))
    mean = variance @ target
    fit = trust @ residuals**2 - target @ mean
    size = 2 * np.log(np.diag(root)).sum() + 2 * m * np.log(scale) - np.log(trust).sum()
    return -(fit + size) / 2, (mean, variance, scale, noise, small)


def choose_centres(places: Array, shares: Array) -> Array:
    """The kernels that tell most of the time's variance: a Cholesky decomposition by pivots."""
    places, index = np.unique(places, axis=0, return_inverse=True)
    weights = np.bincount(index.ravel(), shares)
    left, columns, chosen = np.ones(len(places)), np.zeros((0, len(places))), list[int]()
    while len(chosen) < CENTRES and (left * weights).max() > 0:
        i = int(np.argmax(left * weights))
        own = likeness(places, places[i : i + 1])[:, 0] - columns.T @ columns[:, i]
        columns = np.vstack([columns, own / np.sqrt(left[i])])
        left = 1 - (columns**2).sum(axis=0)
        left[left < NEAR] = 0.0
        chosen.append(i)
    return places[chosen]
