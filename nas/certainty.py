"""How sure a front is: what its numbers may be instead, given how they were measured.

*Accuracy.* k of n validation images are right. With Jeffreys' prior the true accuracy has the
distribution Beta(k + ½, n − k + ½), whose quantiles are a good interval even near 0 and 1 (Brown,
Cai and DasGupta 2001, "Interval estimation for a binomial proportion"). Where networks were trained
more than once, with other seeds, the trainings' pooled variance s² is known too. With the mean a of
r trainings, each with the error e = √(a (1 − a) / n),

    error² = e² + s² / r          n' = a (1 − a) / error²

the same distribution of n' images instead of n holds both. All networks are scored on the same
images, so that the difference of two is surer than this says. Where a run ranks by another score
(`nas.scores`), that is meant, with the error e that was recorded with it: what was counted on no
images at all has no noise.

*Latency.* Its measurement gives a 95 % interval, taken as that of a log-normal distribution.
Counts are exact.

*The front.* Draw every number from its distribution, find the front, and count how often a point
is on it, or is the one that a rule picks. Of so many draws the standard error of such a share is
at most ½ / √draws: 0.8 points of 4,000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta

from nas.budget import Budget
from nas.metrics import METRICS, SCORE

DRAWS = 4000
LEVEL = 0.95
WIDTH = 3.92  # standard deviations between the bounds of a normal 95 % interval
CELLS = 5e6  # numbers of a matrix of draws: fewer draws of runs of more than a thousand trials

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]


# Accuracies --------------------------------------------------------------------------------------


def interval(accuracy: Array, images: Array) -> tuple[Array, Array]:
    """Bounds of the 95 % intervals of accuracies counted on so many images (Jeffreys).

    NaN where they were counted on none.
    """
    a, b = _beta(accuracy, np.where(images > 0, images, np.nan))
    tail = (1 - LEVEL) / 2
    return beta.ppf(tail, a, b), beta.ppf(1 - tail, a, b)


def _beta(accuracy: Array, images: Array) -> tuple[Array, Array]:
    return accuracy * images + 0.5, (1 - accuracy) * images + 0.5


def effective_images(
    accuracy: Array, error: Array, images: Array, repeats: Array, variance: float
) -> Array:
    """n', on which counting leaves the error of `repeats` trainings on `images`; 0 of none.

    `error` is that of one training, by its images alone.
    """
    some = np.maximum(images, 1)
    counted = np.maximum(accuracy * (1 - accuracy), 0.25 / some)  # never certain at 0 or 1
    squared = np.maximum(error**2, 0.25 / some**2)
    return np.where(images > 0, counted / (squared + variance / repeats), 0.0)


def seed_variance(accuracies: pd.Series, networks: pd.Series) -> float:
    """Pooled variance of the accuracies of networks that were trained more than once; 0 of none."""
    groups = accuracies.groupby(networks)
    freedom = int((groups.size() - 1).sum())
    squares = ((accuracies - groups.transform("mean")) ** 2).sum()
    return float(squares / freedom) if freedom else 0.0


def merge_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """The complete rows, one a network: its mean score and accuracy over `repeats` trainings.

    Trainings of one network differ by their seed; a result that a run took from another is the
    same training. Adds what `with_intervals` adds.
    """
    trained = table.drop_duplicates(["id", "seed"])
    variance = seed_variance(trained[SCORE], trained["id"])
    groups = trained.groupby("id")
    found = trained.drop_duplicates("id").reset_index(drop=True)
    for column in (SCORE, "accuracy", f"{SCORE}_error", "accuracy_error"):
        found[column] = found["id"].map(groups[column].mean())
    found["repeats"] = found["id"].map(groups.size())
    return with_intervals(found, variance)


def with_intervals(table: pd.DataFrame, variance: float = 0.0) -> pd.DataFrame:
    """The table with 95 % intervals, from `score_low` to `score_high` and of accuracies likewise.

    `images` are the n' that those of the scores are of.
    """
    images = table["validation_size"].to_numpy(float)
    repeats = np.asarray(table["repeats"] if "repeats" in table else np.ones(len(table)), float)
    for column in ("accuracy", SCORE):
        shares, errors = (table[name].to_numpy(float) for name in (column, f"{column}_error"))
        known = effective_images(shares, errors, images, repeats, variance)
        low, high = interval(shares, known)
        table = table.assign(**{f"{column}_low": low, f"{column}_high": high})
    return table.assign(images=known)


def percent(chance: float) -> str:
    """A probability for a person: draws know no certainty."""
    if chance > 0.99:
        return "> 99 %"
    return "< 1 %" if chance < 0.01 else f"{chance:.0%}".replace("%", " %")


# Draws -------------------------------------------------------------------------------------------


def draw(table: pd.DataFrame, budget: Budget, x: str, *, seed: int = 0) -> Draws:
    """Accuracies and costs `x` of the rows of `with_intervals`, as they may be."""
    count = int(min(DRAWS, max(1, CELLS // max(len(table), 1))))
    rng = np.random.default_rng(seed)
    score, images = table[SCORE].to_numpy(float), table["images"].to_numpy(float)
    drawn = rng.beta(*_beta(score, images), (count, len(table)))
    accuracy = np.where(images > 0, drawn, score)
    names = {x, *(name for name, _ in budget.limits)}
    costs = {name: _costs(table, name, count, rng) for name in sorted(names)}
    return Draws(costs[x], accuracy, _within(costs, budget))


def point(table: pd.DataFrame, budget: Budget, x: str) -> Draws:
    """The same rows as they were measured: one draw."""
    names = {x, *(name for name, _ in budget.limits)}
    costs = {name: table[METRICS[name].column].to_numpy(float)[None] for name in names}
    return Draws(costs[x], table[SCORE].to_numpy(float)[None], _within(costs, budget))


def _costs(table: pd.DataFrame, name: str, count: int, rng: np.random.Generator) -> Array:
    values = np.broadcast_to(table[METRICS[name].column].to_numpy(float), (count, len(table)))
    if name != "latency":
        return values
    low, high = (table[f"latency_{end}"].to_numpy(float) for end in ("low", "high"))
    spread = np.nan_to_num(np.log(high / low) / WIDTH)
    return np.asarray(values * np.exp(spread * rng.standard_normal(values.shape)))


def _within(costs: Mapping[str, Array], budget: Budget) -> Mask:
    shape = next(iter(costs.values())).shape
    within = np.ones(shape, dtype=bool)
    for name, limit in budget.limits:
        within &= costs[name] <= limit
    return within


class Draws:
    """(draws, networks) matrices of a cost and of accuracies (the scores); `within`: the budget.

    `front` says which networks no other of the same draw, inside the budget, dominates.
    """

    def __init__(self, cost: Array, accuracy: Array, within: Mask) -> None:
        self.cost, self.accuracy = cost, accuracy
        inside = np.where(within, cost, np.inf), np.where(within, accuracy, -np.inf)
        self.front = fronts(*inside) & within

    @property
    def on_front(self) -> Array:
        """Of each network, the share of the draws that have it on the front."""
        return np.asarray(self.front.mean(axis=0))

    def picked(self, rule: str) -> Array:
        """Of each network, the share of the draws in which the rule picks it."""
        chosen = self.choose(rule)[self.front.any(axis=1)]
        return np.bincount(chosen, minlength=self.front.shape[1]) / len(self.front)

    def choose(self, rule: str) -> Index:
        """The network of the front that the rule picks, a draw each; 0 of an empty front."""
        return np.asarray(np.where(self.front, RULES[rule](self), -np.inf).argmax(axis=1))


def fronts(cost: Array, accuracy: Array) -> Mask:
    """Which networks are on the front of their row: more accurate than all that are as cheap.

    Of equal ones the first is. `cost` and `accuracy` are (draws, networks).
    """
    order = np.lexsort((-accuracy, cost), axis=1)
    sorted_ = np.take_along_axis(accuracy, order, axis=1)
    best = np.maximum.accumulate(sorted_, axis=1)
    ahead = np.ones(cost.shape, dtype=bool)
    ahead[:, 1:] = sorted_[:, 1:] > best[:, :-1]
    mask = np.zeros(cost.shape, dtype=bool)
    np.put_along_axis(mask, order, ahead, axis=1)
    return mask


# Rules -------------------------------------------------------------------------------------------


def _knee(draws: Draws) -> Array:
    """Height above the chord from the front's cheapest to its best network, both axes scaled to 1.

    The point farthest from the chord is the knee of Das 1999, "On characterizing the knee of the
    Pareto curve based on normal-boundary intersection".
    """
    return _share(draws.accuracy, draws.front) - _share(draws.cost, draws.front)


def _share(values: Array, front: Mask) -> Array:
    """Values as shares of their range on each draw's front."""
    low = np.min(values, axis=1, keepdims=True, where=front, initial=np.inf)
    high = np.max(values, axis=1, keepdims=True, where=front, initial=-np.inf)
    some = high > low  # one point, or none, has no range
    return np.asarray((values - np.where(some, low, 0.0)) / np.where(some, high - low, 1.0))


RULES: dict[str, Callable[[Draws], Array]] = {
    "knee": _knee,
    "best": lambda draws: draws.accuracy,
    "fastest": lambda draws: -draws.cost,
}
