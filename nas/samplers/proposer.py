"""From the history of a study to the next params: candidates, ranked, and the first confirmed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from nas.blas import one_blas_thread
from nas.samplers.candidates import LAST_TRIES, Judge, Pool
from nas.samplers.choice import Gain, Model, cheapest, farthest, learnable
from nas.samplers.encoding import Point
from nas.samplers.gated import SpaceExhausted
from nas.samplers.history import History

CANDIDATES = 300  # drawn for a proposal
PARENTS, NEARBY, ROUNDS = 5, 100, 2  # of the best, so many neighbours are looked at then
KEPT = 50  # candidates that are looked at again for the next proposal


class Proposer:
    """Proposes points of one grid; keeps what it learnt of it."""

    def __init__(self, judge: Judge, startup: int, rng: random.Random) -> None:
        self.judge = judge
        self._startup, self._random = startup, rng
        self._model = Model()
        self._good: list[Point] = []

    @one_blas_thread()
    def propose(self, history: History, given: dict[int, int]) -> dict[str, Any]:
        """Params with the given values, or none where what is left of the trial has to be drawn
        at random; raises SpaceExhausted."""
        pool = Pool(self.judge, history.taken, given, self._random)
        for point in self._ranked(pool, history):
            if self.judge.confirms(point):
                return self.judge.grid.params(point)
        if history.conditional or given:  # the grid is not all in which trials differ
            return {}
        raise SpaceExhausted(self._exhausted())

    def _ranked(self, pool: Pool, history: History) -> list[Point]:
        """Candidates, the best first."""
        chosen = learnable(self.judge, history)
        begun = len(history.points) + len(history.pending) >= self._startup and len(chosen) >= 2
        good = pool.pick(self._good, KEPT)
        parents = [*history.front(), *history.pending, *good]
        drawn = [*good, *pool.draw(parents, CANDIDATES, good)]
        if not drawn:
            return []
        if not begun:
            return self._spread(pool, drawn, history)
        return self._by_gain(pool, self._model.learn(self.judge, history, chosen, drawn), drawn)

    def _spread(self, pool: Pool, drawn: list[Point], history: History) -> list[Point]:
        """The cheapest that is untried, then those that differ most from the trials so far."""
        ends = []
        for position, objective in enumerate(self.judge.known):
            sign = history.signs[objective]
            first = drawn[int(np.argmin(sign * self.judge.costs(drawn)[:, position]))]
            ends.append(cheapest(self.judge, first, position, sign, self._random))
        cheap = pool.pick(ends, len(ends))
        return [*cheap, *farthest(self.judge, drawn, [*history.points, *history.pending])]

    def _by_gain(self, pool: Pool, gain: Gain, points: list[Point]) -> list[Point]:
        """By expected gain, after a local search around the best."""
        gains = gain(points)
        for _ in range(ROUNDS):
            best = [points[i] for i in np.argsort(-gains, kind="stable")[:PARENTS]]
            near = pool.around(best, NEARBY, points)
            points, gains = [*points, *near], np.concatenate([gains, gain(near)])
        ranked = [points[i] for i in np.argsort(-gains, kind="stable")]
        self._good = ranked[1 : KEPT + 1]
        return ranked

    def _exhausted(self) -> str:
        found = f"no untried feasible params were found in {LAST_TRIES:,} draws"
        if (everything := self.judge.all()) is not None:
            found = f"none of the {len(everything):,} params of the space is feasible and untried"
        return f"{found}; {self.judge.trouble}" if self.judge.trouble else found
