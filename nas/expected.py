"""What a long training would reach, of every trial, from the few that had one.

Scores of a search and long trainings are observations of one truth, of different worth: scores are
many, in no unit and wrong in ways that networks of a kind share; long trainings are few. So the
accuracy is a line in the score, and what a Gaussian process on the architecture's numbers
(`nas.encoding`) adds to it. With three trainings that is the order of the scores, with forty on
NAS-Bench-Macro that of a second long training (docs/ranking.md).

    logit accuracy = constant + slope · score + f(architecture) + noise

Constant, slope and f are normal beforehand; the variances, length scales and noise are the mode of
marginal likelihood times priors (Rasmussen and Williams 2006, chapters 2.7 and 5.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit, logit

from nas.encoding import Row
from nas.samplers.encoding import Floats
from nas.samplers.surrogate import matern, squared_distances

FEWEST = 3  # long trainings that say something of the others
CONSTANT = 1.0  # variance of the constant, where the known values have mean 0 and variance 1
# Normal priors, (mean, deviation), of logarithms: both length scales, variances of f, noise, slope.
PRIOR = ((1.8, 1.7), (1.8, 1.7), (-1.0, 1.0), (-3.0, 1.5), (0.0, 1.0))
BOUNDS = ((-3.0, 6.0), (-3.0, 6.0), (-6.0, 4.0), (-12.0, 1.0), (-4.0, 3.0))
NEVER = 1e-3  # an accuracy is at least so far from 0 and 1


@dataclass(frozen=True, slots=True)
class Expected:
    """Of each trial: the accuracy to expect, and the bounds of one standard deviation."""

    accuracy: Floats
    low: Floats
    high: Floats


def expect(
    rows: Sequence[Row], scores: Sequence[float], known: Mapping[int, float]
) -> Expected | None:
    """From the accuracies `known` of some trials, by position; None where they are too few.

    `rows`: what `nas.encoding` makes of each trial, `scores`: what the search ranked it by.
    """
    if len(known) < FEWEST:
        return None
    places = np.array(list(known), dtype=int)
    told = logit(np.clip(list(known.values()), NEVER, 1 - NEVER))
    centre, unit = float(told.mean()), float(told.std()) or 1.0
    kernels = _Kernels.of(rows, scores)
    mean, variance = kernels.posterior(places, (told - centre) / unit)
    deviation = np.sqrt(np.maximum(variance, 0))
    accuracy, low, high = (
        expit(centre + unit * (mean + side * deviation)) for side in (0.0, -1.0, 1.0)
    )
    return Expected(accuracy, low, high)


@dataclass(frozen=True, slots=True)
class _Kernels:
    """Between all trials: squared distances of (groups, trials, trials), products of scores."""

    distances: Floats
    products: Floats

    @classmethod
    def of(cls, rows: Sequence[Row], scores: Sequence[float]) -> _Kernels:
        groups = [_scaled(np.array(group, dtype=float)) for group in zip(*rows, strict=True)]
        score = _scaled(np.array(scores, dtype=float)[:, None])
        return cls(np.stack([squared_distances(own, own) for own in groups]), score @ score.T)

    def __call__(self, theta: Floats) -> Floats:
        lengths, scale, slope = theta[:2], theta[2], theta[4]
        distances = np.tensordot(np.exp(-2 * lengths), self.distances, 1)
        return np.asarray(
            CONSTANT + np.exp(slope) * self.products + np.exp(scale) * matern(distances)
        )

    def among(self, places: Floats) -> _Kernels:
        here = np.ix_(places, places)
        return _Kernels(np.stack([own[here] for own in self.distances]), self.products[here])

    def posterior(self, places: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of what a training of each trial would tell, noise included."""
        theta = self.among(places).fitted(values)
        prior = self(theta)
        cross = prior[:, places]
        noise = np.exp(theta[3])
        factor = cho_factor(cross[places] + noise * np.eye(len(places)))
        explained = (cross * cho_solve(factor, cross.T).T).sum(axis=1)
        return cross @ cho_solve(factor, values), np.diag(prior) - explained + noise

    def fitted(self, values: Floats) -> Floats:
        """The likeliest hyper-parameters."""
        mean, deviation = np.array(PRIOR).T

        def loss(theta: Floats) -> float:
            covariance = self(theta) + np.exp(theta[3]) * np.eye(len(values))
            root = np.linalg.cholesky(covariance)
            weights, off = np.linalg.solve(root, values), (theta - mean) / deviation
            return float((weights @ weights + off @ off) / 2 + np.log(np.diag(root)).sum())

        return np.asarray(minimize(loss, mean, method="L-BFGS-B", bounds=BOUNDS).x)


def _scaled(columns: Floats) -> Floats:
    """With mean 0 and, in all, variance 1."""
    spread = columns.std(axis=0)
    return np.asarray(
        (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1) / columns.shape[1] ** 0.5
    )
