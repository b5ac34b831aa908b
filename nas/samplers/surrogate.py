"""A Gaussian process of one objective, on values that a power transform has made near normal.

Kernel: Matérn 5/2 with a length scale for each group of columns, and noise. Hyper-parameters are
the mode of marginal likelihood times priors: on length scales log-normal, growing with the root
of the number of groups (Hvarfner et al. 2024, arXiv:2402.02229), which keeps sixty parameters as
sane as eight. Formulas: Rasmussen and Williams 2006, chapters 4.2 and 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import boxcox1p, inv_boxcox1p

from nas.samplers.encoding import Floats

Groups = npt.NDArray[np.intp]
JITTER = 1e-6
LENGTH = (2**0.5, 3**0.5)  # mean less ½ log groups, and deviation, of the log length scale
SCALE = (0.0, 1.0)  # of the log variance of the function
NOISE = (-4.0, 1.5)  # of the log variance of the noise
BOUNDS = {"length": (-3.0, 6.0), "scale": (-4.0, 4.0), "noise": (-12.0, 1.0)}
ITERATIONS = 25
DOUBT = 1.4  # times the standard deviation; the worst of several searches gains by it
POWERS = np.linspace(0, 2, 21)


@dataclass(frozen=True, slots=True)
class Warp:
    """Yeo–Johnson's power transform to mean 0 and variance 1, and back.

    Its power is the likeliest within [0, 2], where it maps the real line onto itself.
    Yeo and Johnson 2000, Biometrika 87(4).
    """

    centre: float
    unit: float
    power: float
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def fit(cls, values: Floats) -> Warp:
        centre, unit = float(np.median(values)), float(np.std(values)) or 1.0
        warps = [cls(centre, unit, float(power)) for power in POWERS]
        best = max(warps, key=lambda warp: warp._likelihood(values))
        found = best(values)
        deviation = float(found.std()) or 1.0
        return cls(centre, unit, best.power, float(found.mean()), deviation)

    def __call__(self, values: Floats) -> Floats:
        x = (values - self.centre) / self.unit
        up, down = (
            boxcox1p(np.maximum(x, 0), self.power),
            boxcox1p(-np.minimum(x, 0), 2 - self.power),
        )
        return np.asarray((np.where(x >= 0, up, -down) - self.mean) / self.deviation)

    def inverse(self, warped: Floats) -> Floats:
        z = warped * self.deviation + self.mean
        up = inv_boxcox1p(np.maximum(z, 0), self.power)
        down = inv_boxcox1p(-np.minimum(z, 0), 2 - self.power)
        return np.asarray(np.where(z >= 0, up, -down) * self.unit + self.centre)

    def _likelihood(self, values: Floats) -> float:
        x = (values - self.centre) / self.unit
        spread = np.log(max(self(values).var(), 1e-300))
        slope = (self.power - 1) * (np.sign(x) * np.log1p(np.abs(x))).sum()
        return float(slope - len(values) / 2 * spread)


@dataclass(frozen=True, slots=True)
class GaussianProcess:
    """A posterior: hyper-parameters, and the rows (points, columns) and values that it has seen."""

    theta: Floats  # log length scales, log variance, log noise
    groups: Groups
    rows: Floats
    values: Floats
    root: Floats  # Cholesky factor of the rows' covariance
    weights: Floats  # covariance⁻¹ · values

    @classmethod
    def condition(
        cls, theta: Floats, groups: Groups, rows: Floats, values: Floats
    ) -> GaussianProcess:
        scaled = rows * np.exp(-theta[groups])
        covariance = np.exp(theta[-2]) * matern(squared_distances(scaled, scaled))
        covariance[np.diag_indices(len(rows))] += np.exp(theta[-1]) + JITTER
        root = cholesky(covariance, lower=True)
        return cls(theta, groups, rows, values, root, cho_solve((root, True), values))

    def believing(self, rows: Floats) -> GaussianProcess:
        """As if the mean of these rows had been seen."""
        values = np.concatenate([self.values, self.predict(rows)[0]])
        return self.condition(self.theta, self.groups, np.vstack([self.rows, rows]), values)

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of a new value, noise included.

        What the kernel cannot tell from noise is in a deterministic table a network's own virtue,
        so leaving the noise out would never try the networks that are better than they look.
        One set of hyper-parameters is too sure of itself; DOUBT makes up for the others.
        """
        scale = np.exp(-self.theta[self.groups])
        cross = np.exp(self.theta[-2]) * matern(squared_distances(rows * scale, self.rows * scale))
        explained = (solve_triangular(self.root, cross.T, lower=True) ** 2).sum(axis=0)
        variance = np.exp(self.theta[-2]) - explained + np.exp(self.theta[-1])
        return cross @ self.weights, DOUBT * np.sqrt(np.maximum(variance, JITTER))


def start(groups: Groups) -> Floats:
    """Hyper-parameters to begin a fit with."""
    return np.array([1.0] * (int(groups.max()) + 1) + [0.0, -4.0])


def fit(theta: Floats, groups: Groups, rows: Floats, values: Floats) -> Floats:
    """The likeliest hyper-parameters, found from `theta` by L-BFGS."""
    count = int(groups.max()) + 1
    squares = np.stack(
        [squared_distances(own, own) for own in (rows[:, groups == g] for g in range(count))]
    )
    bounds = [BOUNDS["length"]] * count + [BOUNDS["scale"], BOUNDS["noise"]]
    found = minimize(
        _loss,
        theta,
        (squares.reshape(count, -1), values, _prior(count)),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": ITERATIONS},
    )
    return np.asarray(found.x)


def _prior(count: int) -> tuple[Floats, Floats]:
    lengths = (LENGTH[0] + np.log(count) / 2, LENGTH[1])
    mean, deviation = np.array([lengths] * count + [SCALE, NOISE]).T
    return mean, deviation


def _loss(
    theta: Floats, squares: Floats, values: Floats, prior: tuple[Floats, Floats]
) -> tuple[float, Floats]:
    """Negative log posterior of the hyper-parameters, and its gradient."""
    size, (mean, deviation) = len(values), prior
    inverse_squares = np.exp(-2 * theta[:-2])
    distances = (inverse_squares @ squares).reshape(size, size)
    function, noise = np.exp(theta[-2]) * matern(distances), np.exp(theta[-1])
    try:
        root = cholesky(function + (noise + JITTER) * np.eye(size), lower=True)
    except LinAlgError:
        return 1e10, np.zeros_like(theta)
    inverse = cho_solve((root, True), np.eye(size))
    weights = inverse @ values
    outer = np.outer(weights, weights) - inverse
    slope = outer * np.exp(theta[-2]) * _matern_slope(distances)
    gradient = np.concatenate(
        [
            -inverse_squares * (squares @ slope.ravel()),
            [(outer * function).sum() / 2, noise * np.trace(outer) / 2],
        ]
    )
    off = (theta - mean) / deviation
    likelihood = -values @ weights / 2 - np.log(np.diag(root)).sum()
    return float(off @ off / 2 - likelihood), off / deviation - gradient


def squared_distances(one: Floats, two: Floats) -> Floats:
    """Squared distances of rows."""
    found = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1) - 2 * one @ two.T
    return np.asarray(np.maximum(found, 0))


def matern(squares: Floats) -> Floats:
    r = np.sqrt(5 * squares)
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))


def _matern_slope(squares: Floats) -> Floats:
    """Derivative by the squared distance."""
    r = np.sqrt(5 * squares)
    return np.asarray(-5 / 6 * (1 + r) * np.exp(-r))
