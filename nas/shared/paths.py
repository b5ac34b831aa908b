"""The architectures that a shared network is trained by: random ones, within the budget."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from nas.arch import Architecture
from nas.space import Candidate, Params, Space, Value

STEPS = 200  # of a walk into the budget

Excess = Callable[[Candidate], float]  # the relative excess over a budget, ≤ 0 is within it


class Paths:
    """Random architectures of a space of which `excess` is not positive.

    Every parameter deals its values as from a shuffled deck, so that families, and all else, come
    up equally often, as in FairNAS, arXiv:1907.01845, but for one path a step. What is over the
    budget walks into it by changes to a smaller excess, of families only where all else fails.
    """

    def __init__(self, space: Space, excess: Excess) -> None:
        self.space, self._excess = space, excess
        self._values = {path: parameter.values for path, parameter in space.parameters.items()}

    def draw(self, rng: random.Random) -> Iterator[Architecture]:
        """One after the other, without an end."""
        decks = {path: dealt(values, rng) for path, values in self._values.items()}
        others = [path for path in self._values if not path.endswith(".block")]
        while True:
            params = {path: next(deck) for path, deck in decks.items()}
            found = self._within(params, others, rng)
            if found is None:
                found = self._within(params, [*decks], rng)
            if found is not None:
                yield self.space.architecture(found)

    @cached_property
    def largest(self) -> Architecture:
        """The architecture of the most MACs that coordinate descent finds within the budget."""
        return self._extreme(-1)

    @cached_property
    def smallest(self) -> Architecture:
        """The one of the fewest."""
        return self._extreme(1)

    def _extreme(self, sign: int) -> Architecture:
        def score(candidate: Candidate) -> float:
            over = max(self._excess(candidate), 0.0)
            return sign * candidate.cost.macs + 1e15 * over

        return self.space.minimise(score).arch

    def _within(self, params: Params, free: Sequence[str], rng: random.Random) -> Params | None:
        """Change some of the parameters `free` until within the budget; None where that fails."""
        over = self._over(params)
        for _ in range(STEPS if free else 0):
            if over <= 0:
                break
            path = rng.choice(free)
            changed = {**params, path: rng.choice(self._values[path])}
            if (less := self._over(changed)) < over:
                params, over = changed, less
        return params if over <= 0 else None

    def _over(self, params: Params) -> float:
        try:
            return self._excess(self.space.candidate(params))
        except Exception:  # a user's block may raise anything
            return float("inf")


def dealt(values: Sequence[Value], rng: random.Random) -> Iterator[Value]:
    """Values as from a deck that is shuffled whenever it is used up."""
    while True:
        yield from rng.sample(values, len(values))
