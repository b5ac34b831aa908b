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
trials end does not matter, so many may run at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import t as student

from nas.metrics import METRICS
from nas.pareto import standard_error
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
    """Whether a trial at a rung may still enter the front of `trials`."""
    forecast, bar = forecast_of(trial, trials), _bar(trial, trials, objectives)
    return forecast is None or bar is None or forecast.exceeds(bar) >= DOUBT


def forecast_of(trial: Trial, trials: Sequence[Trial]) -> Forecast | None:
    """The final accuracy of a trial at a rung, None where too few others have come to the end."""
    if trial.result is None:
        return None
    epochs = len(trial.result.curve)
    ended = [
        t for t in trials if t.state == COMPLETE and t.result and len(t.result.curve) >= epochs
    ]
    if len(ended) < LEAST:
        return None
    rows = np.array([_known(t, epochs) for t in ended])
    ends = np.array([_logit(t.result.accuracy, t.result) for t in ended if t.result])
    return regress(rows, ends, np.array(_known(trial, epochs)))


def _known(trial: Trial, epochs: int) -> tuple[float, ...]:
    """What the forecast goes by, of a trial that has been trained for so many epochs."""
    loss = trial.result.curve[epochs - 1] if trial.result else np.nan
    return 1.0, loss, *(np.log(max(trial.cost[name], 1)) for name in ("macs", "params"))


def regress(rows: Array, values: Array, row: Array) -> Forecast:
    """The value at `row` by linear regression on (n, features) `rows`, with its uncertainty."""
    inverse = np.linalg.pinv(rows, rcond=1e-6)  # also where a feature is equal in all rows
    weights = inverse @ values
    freedom = len(rows) - rows.shape[1]
    variance = ((values - rows @ weights) ** 2).sum() / freedom
    scale = np.sqrt(variance * (1 + ((row @ inverse) ** 2).sum()))
    return Forecast(float(row @ weights), max(float(scale), 1e-6), freedom)


def _bar(trial: Trial, trials: Sequence[Trial], objectives: Sequence[str]) -> float | None:
    """What the final accuracy must exceed, as a logit; None where no complete trial is as cheap."""
    costs = [name for name in objectives if not METRICS[name].maximise]
    rivals = [
        t.result
        for t in trials
        if t.state == COMPLETE
        and t.result
        and all((t.value(name) or 0.0) <= (trial.value(name) or 0.0) for name in costs)
    ]
    if not rivals:
        return None
    best = max(rivals, key=lambda result: result.accuracy)
    error = standard_error(best.accuracy, best.validation_size)
    return _logit(min(best.accuracy + MARGIN * error, 1.0), best)


def _logit(accuracy: float, result: Result) -> float:
    """Kept off 0 and 1 by half an image."""
    n = result.validation_size
    return float(logit((accuracy * n + 0.5) / (n + 1)))
