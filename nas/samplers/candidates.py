"""Which points may be proposed, what is known of them beforehand, and how they are drawn."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import (
    Callable,
    Collection,
    Container,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from nas.samplers.encoding import Floats, Grid, Point, cross, draw

log = logging.getLogger(__name__)

Params: TypeAlias = dict[str, Any]
LISTED = 20_000  # points that are worth looking through before a space is called exhausted
TRIES = 20  # points drawn for each candidate that is wanted
LAST_TRIES = 20_000  # points drawn before a space that is too large to list is called exhausted
KEPT = 2**15  # points whose facts are remembered; more than LISTED, all of which are asked about


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a point before it is tried."""

    costs: tuple[float, ...]  # in the order of `known`
    features: Floats  # an array, a third of a tuple's size


class Judge:
    """Asks the user's functions about points, each of them once a point.

    A point whose known costs or features cannot be told is not proposed; which, is logged once.
    """

    def __init__(
        self,
        grid: Grid,
        known: Mapping[int, Callable[[Params], float]],
        feasible: Callable[[Params], bool] | None,
        features: Callable[[Params], Sequence[Any]] | None,
        key: Callable[[Params], Hashable] | None,
        listed: Iterable[Params] | None = None,
    ) -> None:
        self.grid = grid
        points = None if listed is None else dict.fromkeys(map(grid.point, listed))
        self._listed = None if points is None else tuple(p for p in points if p is not None)
        self._members = None if self._listed is None else frozenset(self._listed)
        self.known = tuple(known)  # objectives
        self.featured = features is not None
        self.widths: tuple[int, ...] = ()  # of the features' groups, once one was told
        self.trouble: str | None = None
        self._known, self._feasible = known, feasible
        self._features, self._key = features, key
        self.facts = lru_cache(KEPT)(self._ask)
        self.key = lru_cache(KEPT)(self._name)
        self._allows = lru_cache(KEPT)(self.confirms)

    def all(self) -> Sequence[Point] | None:
        """Every point, feasible or not; None where there are too many."""
        if self._listed is not None:
            return self._listed
        return tuple(self.grid.all()) if self.grid.size <= LISTED else None

    def sample(self, rng: random.Random) -> Point:
        if self._listed:
            return self._listed[draw(len(self._listed), rng)]
        return self.grid.sample(rng)

    def admits(self, point: Point) -> bool:
        """Whether the point was feasible when first asked about, and all about it can be told."""
        return self._allows(point) and self.facts(point) is not None

    def costs(self, points: Sequence[Point]) -> Floats:
        """(points, known) of points that all have facts."""
        return np.array([facts.costs for point in points if (facts := self.facts(point))])

    def features(self, points: Sequence[Point]) -> Floats:
        """(points, features) of points that all have facts."""
        return np.array([facts.features for point in points if (facts := self.facts(point))])

    def confirms(self, point: Point) -> bool:
        """Whether the point is feasible now."""
        if self._members is not None and point not in self._members:
            return False
        try:
            return self._feasible is None or bool(self._feasible(self.grid.params(point)))
        except Exception as error:  # a function of the user's may raise anything
            self._report("feasible", point, error)
            return False

    def _name(self, point: Point) -> Hashable:
        """Points of one key are one architecture."""
        try:
            return point if self._key is None else self._key(self.grid.params(point))
        except Exception as error:
            self._report("key", point, error)
            return point

    def _ask(self, point: Point) -> Facts | None:
        """What is known of a point; None where a function raises or returns no finite number."""
        functions: dict[str, Callable[[Params], Any]] = {
            f"known[{index}]": function for index, function in self._known.items()
        }
        functions |= {"features": self._features} if self._features else {}
        found = [self._numbers(name, function, point) for name, function in functions.items()]
        if any(numbers is None for numbers in found):
            return None
        told = [numbers for numbers in found if numbers is not None]
        costs = tuple(told[i][0] for i in range(len(self._known)))
        return Facts(costs, np.array(told[-1] if self._features else ()))

    def _numbers(
        self, name: str, function: Callable[[Params], Any], point: Point
    ) -> tuple[float, ...] | None:
        try:
            value = function(self.grid.params(point))
            groups = [_group(own) for own in value] if name == "features" else [(value,)]
            numbers = tuple(float(number) for group in groups for number in group)
        except Exception as error:
            self._report(name, point, error)
            return None
        if not all(map(math.isfinite, numbers)):
            self._report(name, point, value)
            return None
        if name == "features":
            self.widths = tuple(map(len, groups))
        return numbers

    def _report(self, name: str, point: Point, what: object) -> None:
        raised = isinstance(what, Exception)
        reason = f"raised {type(what).__name__}: {what}" if raised else f"returned {what}"
        trouble = f"{name} {reason} for {self.grid.params(point)}"
        if self.trouble is None:
            log.warning("%s; such params are not proposed, and this is said once", trouble)
        self.trouble = self.trouble or trouble


def _group(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) else (value,)


@dataclass(frozen=True, slots=True)
class Pool:
    """Draws points that may be proposed: admitted, not taken, with some values given."""

    judge: Judge
    taken: Container[Hashable]  # keys
    given: Mapping[int, int]  # of a trial that was enqueued with some of its values
    rng: random.Random

    def draw(
        self, parents: Sequence[Point], count: int, but: Collection[Point] = ()
    ) -> list[Point]:
        """About so many other points: mutated and crossed parents, and a quarter at random."""
        found = self.pick(islice(self._bred(parents), TRIES * count), count, but)
        if len(found) >= count / 4:
            return found
        if (everything := self.judge.all()) is not None:
            shuffled = self.rng.sample(everything, len(everything))
            return found + self.pick(shuffled, count - len(found), [*but, *found])
        if found or but:
            return found
        return self.pick(islice(self._bred(parents), LAST_TRIES), 1)

    def around(self, points: Iterable[Point], count: int, but: Collection[Point]) -> list[Point]:
        """So many of the points that differ from one of these in one parameter."""
        near = [other for point in points for other in self.judge.grid.neighbours(point, self.rng)]
        self.rng.shuffle(near)
        return self.pick(near, count, but)

    def pick(self, points: Iterable[Point], count: int, but: Collection[Point] = ()) -> list[Point]:
        """The first of these points that may be proposed, each architecture once.

        `but`: points that are candidates already.
        """
        found: list[Point] = []
        key, admits = self.judge.key, self.judge.admits
        seen, keys = set(but), set(map(key, but))
        for point in map(self._with_given, points) if self.given else points:
            if point in seen:
                continue
            seen.add(point)
            if not admits(point) or (own := key(point)) in keys or own in self.taken:
                continue
            keys.add(own)
            found.append(point)
            if len(found) == count:
                break
        return found

    def _with_given(self, point: Point) -> Point:
        return tuple(self.given.get(i, index) for i, index in enumerate(point))

    def _bred(self, parents: Sequence[Point]) -> Iterator[Point]:
        grid, rng = self.judge.grid, self.rng
        while True:
            chance = rng.random()
            if not parents or chance < 0.25:
                yield self.judge.sample(rng)
                continue
            parent = parents[draw(len(parents), rng)]
            if chance < 0.4:
                parent = cross(parent, parents[draw(len(parents), rng)], rng)
            yield grid.mutate(parent, rng)
