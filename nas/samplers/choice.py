"""Which candidate to take: before the model the cheapest and the farthest, then the likeliest gain.

Trials under way count as if they had returned what the model expects of them ("kriging believer",
Ginsbourger, Le Riche and Carraro 2010), so that those asked for together differ.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.samplers.acquisition import expected_gain, front_of, nodes, reference_of
from nas.samplers.candidates import Judge
from nas.samplers.encoding import Floats, Point
from nas.samplers.history import History, thinned
from nas.samplers.surrogate import GaussianProcess, Groups, Warp, fit, start

ROWS = 240  # trials that the model sees: two thirds by non-domination, a third from all the others
FIT_ROWS = 120  # of these its hyper-parameters are fitted to
GROWTH = 1.125  # of the number of trials, after which they are fitted again


def cheapest(judge: Judge, point: Point, cost: int, sign: float, rng: random.Random) -> Point:
    """Coordinate descent of a known cost, given by its position in `known`, from a point."""
    best, improved = point, True
    while improved:
        improved = False
        for place in judge.grid.free:
            near = [best, *filter(judge.admits, judge.grid.along(place, best, rng))]
            found = near[int(np.argmin(sign * judge.costs(near)[:, cost]))]
            improved, best = improved or found != best, found
    return best


def farthest(judge: Judge, points: Sequence[Point], seen: Sequence[Point]) -> list[Point]:
    """The points in order of their distance to the nearest seen one, the farthest first."""
    seen = [point for point in seen if judge.facts(point) is not None]
    if not seen:
        return list(points)
    rows = Rows.of(judge, [*points, *seen])
    squares = ((rows(points)[:, None] - rows(seen)) ** 2).sum(axis=2)
    return [points[i] for i in np.argsort(-squares.min(axis=1), kind="stable")]


@dataclass(frozen=True, slots=True)
class Rows:
    """Turns points into rows of numbers: params or features, then known costs by magnitude."""

    judge: Judge
    centre: Floats
    unit: Floats
    log: bool  # whether the costs' logarithms count, as where all have one sign

    @classmethod
    def of(cls, judge: Judge, points: Sequence[Point]) -> Rows:
        """Costs and groups of features have mean 0 and, in all, variance 1 over these points."""
        costs = judge.costs(points)
        log = bool((costs > 0).all() or (costs < 0).all())
        told = cls._told(judge, points, log)
        deviation = told.std(axis=0)
        sizes = np.repeat(_sizes(judge), _sizes(judge))
        unit = np.where(deviation > 0, deviation, 1.0) * np.sqrt(sizes)
        return cls(judge, told.mean(axis=0), unit, log)

    def __call__(self, points: Sequence[Point]) -> Floats:
        """(points, columns)."""
        told = (self._told(self.judge, points, self.log) - self.centre) / self.unit
        return told if self.judge.featured else np.hstack([self.judge.grid.rows(points), told])

    @property
    def groups(self) -> Groups:
        """Which columns share a length scale: those of one parameter."""
        own = np.zeros(0, dtype=np.intp) if self.judge.featured else self.judge.grid.groups
        sizes = _sizes(self.judge)
        return np.concatenate(
            [own, own.max(initial=-1) + 1 + np.repeat(np.arange(len(sizes)), sizes)]
        )

    @staticmethod
    def _told(judge: Judge, points: Sequence[Point], log: bool) -> Floats:
        costs = judge.costs(points)
        costs = np.log(np.maximum(np.abs(costs), np.finfo(float).tiny)) if log else costs
        return np.hstack([judge.features(points), costs])


def _sizes(judge: Judge) -> list[int]:
    """Columns of each group of features, then one of each cost."""
    return [*judge.widths, *(1 for _ in judge.known)]


@dataclass(frozen=True, slots=True)
class Posterior:
    """A modelled objective: its process, of warped losses."""

    warp: Warp
    process: GaussianProcess

    def believing(self, rows: Floats) -> Posterior:
        """As if what is expected of these rows had come true."""
        return replace(self, process=self.process.believing(rows))

    def losses(self, rows: Floats, z: Floats) -> Floats:
        """(nodes, points) losses that are z standard deviations off."""
        mean, deviation = self.process.predict(rows)
        return self.warp.inverse(mean + z[:, None] * deviation)


@dataclass(frozen=True, slots=True)
class Gain:
    """Expected gain of hypervolume of points."""

    rows: Rows
    known: Mapping[int, tuple[int, float]]  # objective → position in `known`, and its sign
    posteriors: Mapping[int, Posterior]
    front: Floats
    reference: Floats

    def __call__(self, points: Sequence[Point]) -> Floats:
        if not points:
            return np.zeros(0)
        grid, weights = nodes(len(self.posteriors))
        return expected_gain(self.losses(points, grid), weights, self.front, self.reference)

    def losses(self, points: Sequence[Point], grid: Floats) -> Floats:
        """(nodes, points, objectives), each modelled one off by its column of the grid."""
        found = np.empty((len(grid), len(points), len(self.known) + len(self.posteriors)))
        costs, rows = self.rows.judge.costs(points), self.rows(points)
        for objective, (position, sign) in self.known.items():
            found[:, :, objective] = sign * costs[:, position]
        for column, (objective, posterior) in enumerate(self.posteriors.items()):
            found[:, :, objective] = posterior.losses(rows, grid[:, column])
        return found


class Model:
    """Learns from trials; keeps the hyper-parameters until there are an eighth more trials."""

    def __init__(self) -> None:
        self._thetas: dict[int, Floats] = {}
        self._fitted = 0  # trials

    def learn(self, judge: Judge, history: History, chosen: list[int], drawn: list[Point]) -> Gain:
        """From the chosen trials; features and costs are scaled by these and the candidates."""
        points, losses = [history.points[i] for i in chosen], history.losses[chosen]
        rows = Rows.of(judge, [*points, *drawn])
        known = {o: (i, history.signs[o]) for i, o in enumerate(judge.known)}
        modelled = [o for o in range(losses.shape[1]) if o not in known]
        refit = not self._fitted <= history.count < GROWTH * self._fitted
        self._fitted = history.count if refit else self._fitted
        posteriors = {o: self._posterior(o, rows, points, losses[:, o], refit) for o in modelled}
        gain = Gain(rows, known, posteriors, losses, losses[0])
        return _reaching(self._believe(gain, chosen, history), drawn)

    def _posterior(
        self, objective: int, rows: Rows, points: list[Point], losses: Floats, refit: bool
    ) -> Posterior:
        warp, seen, groups = Warp.fit(losses), rows(points), rows.groups
        theta = self._thetas.get(objective, start(groups))
        if refit:
            some = np.linspace(0, len(points) - 1, min(len(points), FIT_ROWS)).astype(int)
            theta = fit(theta, groups, seen[some], warp(losses)[some])
        self._thetas[objective] = theta
        return Posterior(warp, GaussianProcess.condition(theta, groups, seen, warp(losses)))

    def _believe(self, gain: Gain, chosen: list[int], history: History) -> Gain:
        """The front as the model expects it: without luck, and with what trials under way bring."""
        judge, here = gain.rows.judge, np.zeros((1, len(gain.posteriors)))
        expected = gain.losses([history.points[i] for i in chosen], here)[0]
        expected[:, list(gain.known)] = history.losses[np.ix_(chosen, list(gain.known))]
        pending = [point for point in history.pending if judge.facts(point) is not None]
        if not pending:
            return replace(gain, front=front_of(expected))
        front = front_of(np.vstack([expected, gain.losses(pending, here)[0]]))
        rows = gain.rows(pending)
        posteriors = {o: p.believing(rows) for o, p in gain.posteriors.items()}
        return replace(gain, front=front, posteriors=posteriors)


def _reaching(gain: Gain, drawn: list[Point]) -> Gain:
    """With a reference beyond all that may come to be the front, one standard deviation lucky.

    The front so far would not do: what is dearer than all of it, and better, would gain nothing.
    """
    lucky = gain.losses(drawn, -np.ones((1, len(gain.posteriors))))[0]
    return replace(gain, reference=reference_of(front_of(np.vstack([gain.front, lucky]))))


def learnable(judge: Judge, history: History) -> list[int]:
    """Positions of the trials that a model can learn from: at most ROWS, as `thinned` chooses."""
    if not history.points:
        return []
    chosen = thinned(history.losses, ROWS)
    return [int(i) for i in chosen if judge.facts(history.points[i]) is not None]
