"""Stopping a training early, with several objectives: may it still enter the front at its cost?

At a rung, some epochs before the end of its training, a trial is looked at. Its costs are known
exactly, so of all finished trials only those that are as cheap matter: it enters the front if its
final accuracy exceeds the best of theirs. By less than half a standard error nobody could tell, so
the *bar* is that accuracy plus half its standard error. The final accuracy is predicted by linear
regression of logit(accuracy) on the mean training loss of the rung's last epoch, log MACs and log
params, over the n complete trials, which went through the same epoch of the same schedule. (A
training loss is a mean over far more images than the validation part has, and ranks far better
early on: Ru et al. 2021, arXiv:2006.04492.) With x a trial's row of X, which begins with a 1:

    P(enters) = P(T > (logit(bar) - prediction) / s),     T: Student's t, n - 4 degrees of freedom
    s² = residual variance · (1 + x (XᵀX)⁻¹ xᵀ)

s holds the uncertainty of the regression itself, so that few trials stop little. A trial stops
where P is under 5 %: of those that are stopped, about one in twenty would have entered. That
trials were stopped by what the regression is conditioned on does not bias it. The order in which
trials end does not matter, so many may run at once. Sums of products are all that is kept of the
complete trials, and the front of them, which has the most accurate at any cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import t as student

from nas.budget import Budget
from nas.metrics import METRICS
from nas.pareto import leading
from nas.records import COMPLETE, Result, Trial

LEAST = 8  # complete trials before one may be stopped: two for each coefficient
MARGIN = 0.5  # standard errors that it must exceed its rivals by
DOUBT = 0.05  # the probability of entering the front under which a trial stops

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of a final accuracy: Student's t on the scale of logits."""

    mean: float
    scale: float
    freedom: int

    @property
    def accuracy(self) -> float:
        """The median of the final accuracy."""
        return float(expit(self.mean))

    def exceeds(self, bar: float) -> float:
        """The probability of more than `bar`, a logit."""
        return float(student.sf((bar - self.mean) / self.scale, self.freedom))


def may_enter(trial: Trial, trials: Sequence[Trial], objectives: Sequence[str]) -> bool:
    """Whether a trial at a rung may still enter the front of `trials`, for one question only."""
    return Rivals(objectives, trials).may_enter(trial)


class Rivals:
    """What a trial at a rung is judged by: sums over the complete trials, and their front.

    `budget`: what exceeds it, as a result of an earlier run may, is learnt from but is no rival.
    """

    def __init__(
        self,
        objectives: Sequence[str],
        trials: Iterable[Trial] = (),
        budget: Budget | None = None,
    ) -> None:
        self._objectives, self._budget = objectives, budget or Budget()
        self._costs = [name for name in objectives if not METRICS[name].maximise]
        self._front: list[Trial] = []
        self._sums: dict[int, Array] = {}  # by epochs, see `products`
        for trial in trials:
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """A trial has ended."""
        if trial.state != COMPLETE or trial.result is None:
            return
        end = _logit(trial.result.score, trial.result)
        for epochs in range(1, len(trial.result.curve) + 1):
            found = products(np.array([_known(trial, epochs)]), np.array([end]))
            self._sums[epochs] = self._sums.get(epochs, 0) + found
        if trial.within(self._budget):
            self._front = leading([*self._front, trial], self._objectives)

    def may_enter(self, trial: Trial) -> bool:
        """Whether a trial at a rung may still enter the front."""
        forecast, bar = self.forecast(trial), self._bar(trial)
        return forecast is None or bar is None or forecast.exceeds(bar) >= DOUBT

    def forecast(self, trial: Trial) -> Forecast | None:
        """The final accuracy of a trial at a rung, None where too few have come to the end."""
        epochs = len(trial.result.curve) if trial.result else 0
        sums = self._sums.get(epochs)
        if sums is None or sums[0, 0] < LEAST:
            return None
        return regress(sums, np.array(_known(trial, epochs)))

    def _bar(self, trial: Trial) -> float | None:
        """What the final accuracy must exceed, as a logit; None where no rival is as cheap."""
        rivals = [
            rival.result
            for rival in self._front
            if rival.result
            and all((rival.value(n) or 0.0) <= (trial.value(n) or 0.0) for n in self._costs)
        ]
        if not rivals:
            return None
        best = max(rivals, key=lambda result: result.score)
        return _logit(min(best.score + MARGIN * best.score_error, 1.0), best)


def _known(trial: Trial, epochs: int) -> tuple[float, ...]:
    """What the forecast goes by, of a trial that has been trained for so many epochs."""
    loss = trial.result.curve[epochs - 1] if trial.result else np.nan
    return 1.0, loss, *(np.log(max(trial.cost[name], 1)) for name in ("macs", "params"))


def products(rows: Array, values: Array) -> Array:
    """All that regression needs of (n, features) `rows`, whose first feature is 1, and `values`.

    ZᵀZ with Z = (rows, values): those of two sets of trials add up to that of both.
    """
    both = np.column_stack([rows, values])
    return np.asarray(both.T @ both)


def regress(sums: Array, row: Array) -> Forecast:
    """The value at `row` by linear regression on `products`, with its uncertainty."""
    # A pseudo-inverse, for a feature may be equal in all rows.
    inverse = np.linalg.pinv(sums[:-1, :-1], rcond=1e-12, hermitian=True)
    weights = inverse @ sums[:-1, -1]
    freedom = round(sums[0, 0]) - len(row)
    variance = max(sums[-1, -1] - weights @ sums[:-1, -1], 0.0) / freedom
    scale = np.sqrt(variance * (1 + row @ inverse @ row))
    return Forecast(float(row @ weights), max(float(scale), 1e-6), freedom)


def _logit(accuracy: float, result: Result) -> float:
    """Kept off 0 and 1 by half an image."""
    n = result.validation_size
    return float(logit((accuracy * n + 0.5) / (n + 1)))
