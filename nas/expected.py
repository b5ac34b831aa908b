"""What a long training would reach, of every trial, from the few that had one.

Scores of a search and long trainings are observations of one truth, of different worth: scores are
many, and wrong in ways that networks of a kind share; long trainings are few. So the log odds of
the accuracy are a line in those of the score, and what a Gaussian process on the architecture's
numbers (`nas.encoding`) adds to it. With few trainings that is about the order of the scores, with
forty on NAS-Bench-Macro that of a second long training (docs/ranking.md).

    logit accuracy = constant + (1 + slope) · logit score + f(architecture) + noise

Constant, slope and f are normal of mean 0 beforehand, so that a long training moves the log odds of
a right answer by a constant where nothing else is known. The variances, length scales and noise are
the mode of marginal likelihood times priors (Rasmussen and Williams 2006, chapters 2.7 and 5.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit, logit

from nas.blas import one_blas_thread
from nas.blocks import import_blocks
from nas.cost import cost
from nas.encoding import Row, encoder
from nas.errors import InputError
from nas.pareto import maximised, non_dominated
from nas.prior import space_of
from nas.records import COMPLETE, Trial
from nas.run import Run
from nas.samplers.encoding import Floats
from nas.samplers.surrogate import matern, squared_distances
from nas.space import Candidate

FEWEST_TRAININGS = 3  # long ones, that say something of the other trials
CONSTANT = 1.0  # variance of the constant, about the mean of what is known
# Normal priors, (mean, deviation), of logarithms: both length scales, variances of f, noise, slope.
PRIOR = ((1.8, 1.7), (1.8, 1.7), (-2.0, 1.0), (-4.0, 1.5), (-1.5, 1.0))
BOUNDS = ((-3.0, 6.0), (-3.0, 6.0), (-6.0, 4.0), (-12.0, 1.0), (-4.0, 3.0))
NEVER = 1e-3  # an accuracy is at least so far from 0 and 1


@dataclass(frozen=True, slots=True)
class Hope:
    """The accuracy that a longer training of a trial is expected to reach, with the bounds of one
    standard deviation (`nas.expected`); `confirmed`: whether it had one."""

    number: int
    cost: float
    accuracy: float
    low: float
    high: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """Of each trial: the accuracy to expect, and the bounds of one standard deviation."""

    accuracy: Floats
    low: Floats
    high: Floats


def expected_front(run: Run) -> tuple[Hope, ...]:
    """The front that longer trainings would find, by rising cost, the run's first.

    From the trials that were confirmed; empty where they are too few, or blocks of the run are not
    registered here. A Gaussian process is fitted for it: call it where it is shown.
    """
    known = {trial.number: trial.result.score for trial in run.confirmed if trial.result}
    done = [t for t in run.records if _comparable(t, run)]
    told = {place: known[t.number] for place, t in enumerate(done) if t.number in known}
    if len(told) < FEWEST_TRAININGS:
        return ()
    try:
        import_blocks(run.info["settings"]["blocks"])
        encode = encoder(space_of(run))
        archs = [trial.architecture for trial in done]
    except InputError:
        return ()
    rows = [encode(Candidate({}, arch, cost(arch))) for arch in archs]
    found = expect(rows, [t.result.score for t in done if t.result], told)
    if found is None:
        return ()
    three = (own.tolist() for own in (found.accuracy, found.low, found.high))
    hopes = [
        Hope(t.number, t.value(run.cost) or 0.0, at, low, high, t.number in known)
        for t, at, low, high in zip(done, *three, strict=True)
    ]
    points = np.array([(hope.accuracy, hope.cost) for hope in hopes])
    on_front = non_dominated(points, maximised(("accuracy", run.cost)))
    front = [hope for hope, on in zip(hopes, on_front, strict=True) if on]
    return tuple(sorted(front, key=lambda hope: hope.cost))


def _comparable(trial: Trial, run: Run) -> bool:
    """Whether it is complete with its architecture, within the budget, of the run's own space."""
    ended = trial.state == COMPLETE and trial.result is not None and trial.source is None
    return ended and bool(trial.arch) and trial.within(run.budget)


@one_blas_thread()
def expect(
    rows: Sequence[Row], scores: Sequence[float], known: Mapping[int, float]
) -> Expected | None:
    """From the accuracies `known` of some trials, by position; None where they are too few.

    `rows`: what `nas.encoding` makes of each trial, `scores`: what the search ranked it by.
    """
    if len(known) < FEWEST_TRAININGS:
        return None
    places = np.array(list(known), dtype=int)
    odds = logit(np.clip(scores, NEVER, 1 - NEVER))
    gains = logit(np.clip(list(known.values()), NEVER, 1 - NEVER)) - odds[places]
    centre = odds + gains.mean()
    mean, variance = _Kernel.of(rows, odds, places).posterior(gains - gains.mean())
    deviation = np.sqrt(np.maximum(variance, 0))
    accuracy, low, high = (expit(centre + mean + side * deviation) for side in (0.0, -1.0, 1.0))
    return Expected(accuracy, low, high)


@dataclass(frozen=True, slots=True)
class _Kernel:
    """Between all trials and those at `places`: squared distances (groups, trials, places) and
    products of scores (trials, places); `squares` of each trial's own score."""

    places: npt.NDArray[np.intp]
    distances: Floats
    products: Floats
    squares: Floats

    @classmethod
    def of(cls, rows: Sequence[Row], scores: Floats, places: npt.NDArray[np.intp]) -> _Kernel:
        groups = [scaled(np.array(group, dtype=float)) for group in zip(*rows, strict=True)]
        score = scores - scores[places].mean()
        distances = np.stack([squared_distances(own, own[places]) for own in groups])
        return cls(places, distances, np.outer(score, score[places]), score**2)

    def __call__(self, theta: Floats, rows: npt.NDArray[np.intp] | slice) -> Floats:
        """The covariance of these rows with the places, without noise."""
        distances = np.tensordot(np.exp(-2 * theta[:2]), self.distances[:, rows], 1)
        function = np.exp(theta[2]) * matern(distances)
        return np.asarray(CONSTANT + np.exp(theta[4]) * self.products[rows] + function)

    def posterior(self, values: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of what a training of each trial would tell, noise included."""
        theta = self._fitted(values)
        noise = np.exp(theta[3])
        cross = self(theta, slice(None))
        factor = cho_factor(cross[self.places] + noise * np.eye(len(values)))
        explained = (cross * cho_solve(factor, cross.T).T).sum(axis=1)
        prior = CONSTANT + np.exp(theta[4]) * self.squares + np.exp(theta[2]) + noise
        return cross @ cho_solve(factor, values), prior - explained

    def _fitted(self, values: Floats) -> Floats:
        """The likeliest hyper-parameters."""
        mean, deviation = np.array(PRIOR).T

        def loss(theta: Floats) -> float:
            covariance = self(theta, self.places) + np.exp(theta[3]) * np.eye(len(values))
            root = np.linalg.cholesky(covariance)
            weights, off = np.linalg.solve(root, values), (theta - mean) / deviation
            return float((weights @ weights + off @ off) / 2 + np.log(np.diag(root)).sum())

        return np.asarray(minimize(loss, mean, method="L-BFGS-B", bounds=BOUNDS).x)


def scaled(columns: Floats) -> Floats:
    """With mean 0 and, in all, variance 1."""
    spread = columns.std(axis=0)
    return np.asarray(
        (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1) / columns.shape[1] ** 0.5
    )
