"""Learning rates and correction from the times of whole networks; see `nas.latency.regression`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import nnls

from nas.latency.features import Array, Kernels
from nas.latency.kernels import Work
from nas.latency.regression import Correction, Rates, likeness, whitener

PRIOR = 0.03  # how strongly a rate is held to that of all kinds, against one network's error
LEAST = 0.02  # of the time, that each term of work takes in all kinds together, at the least
CENTRES = 128  # kernels that stand for all others
NEAR = 0.02  # of a kernel's variance: what the centres leave of it when they are enough
# By evidence: deviations of log time, and times, in medians, below which noise grows.
SCALES, NOISES, SMALLS = (0.25, 0.5, 1.0), (0.02, 0.03, 0.05, 0.08, 0.12), (0.0, 1.0, 3.0, 10.0)


def fit_rates(networks: Sequence[Kernels], ms: Array) -> Rates:
    """Non-negative rates of the least relative error.

    Many kinds stand in few networks, so that each rate is held to that of all kinds together.
    """
    kinds = {kind: i for i, kind in enumerate(sorted({k for n in networks for k in n.kinds}))}
    work = np.zeros((len(networks), len(kinds), len(Work._fields)))
    for own, network in zip(work, networks, strict=True):
        np.add.at(own, [kinds[kind] for kind in network.kinds], network.work)
    work /= ms[:, None, None]
    total = work.sum(axis=1)
    mean = total.mean(axis=0)
    common = np.zeros(len(Work._fields))
    done = mean > 0
    factors = nnls(total[:, done] / mean[done], np.ones(len(ms)))[0]
    common[done] = np.maximum(factors, LEAST) / mean[done]
    factors = np.ones(work[0].size)
    relative = (work * common).reshape(len(ms), -1)
    used = relative.max(axis=0) > 0
    factors[used] = _held(relative[:, used])
    table = factors.reshape(len(kinds), -1) * common
    return Rates(kinds, np.vstack([table, common]))


def _held(relative: Array) -> Array:
    """Factors whose products with `relative` sum to one, held to one themselves."""
    n, m = relative.shape
    rows = np.vstack([relative, PRIOR * np.eye(m)])
    goal = np.concatenate([np.ones(n), np.full(m, PRIOR)])
    factors: Array = nnls(rows, goal, maxiter=100 * m)[0]
    return factors


def fit_correction(places: Sequence[Array], times: Sequence[Array], residuals: Array) -> Correction:
    """The process that `residuals`, the log of measured over summed times, make likely.

    Its three numbers are those of the largest evidence; Rasmussen and Williams, Gaussian Processes
    for Machine Learning, 2006, chapter 5.
    """
    ms = np.array([own.sum() for own in times])
    shares = [own / total for own, total in zip(times, ms, strict=True)]
    centres = choose_centres(np.concatenate(places), np.concatenate(shares))
    white = whitener(centres)
    seen = np.array([s @ likeness(p, centres) @ white for p, s in zip(places, shares, strict=True)])
    tried = (
        _posterior(seen, residuals, ms, scale, noise, small * float(np.median(ms)))
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
