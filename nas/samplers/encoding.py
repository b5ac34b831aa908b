"""Categorical and integer parameters as a grid: points are tuples of indices, rows are numbers.

Rows are made so that the squared distance of two points along one parameter is at most 1. Along
unordered values it is 1 wherever they differ; numbers differ by ½ as labels and by up to ½ as
magnitudes, since an integer may well be a label; ranges of many integers are magnitudes only.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

Point: TypeAlias = tuple[int, ...]
Floats: TypeAlias = npt.NDArray[np.float64]
FEW = 10  # values of a number that may be labels
NEAR = 5  # values whose every alternative is a neighbour


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter: its values, and whether they are numbers, by magnitude or its logarithm."""

    name: str
    values: Sequence[Any]
    ordered: bool
    log: bool = False

    @classmethod
    def of(cls, name: str, distribution: BaseDistribution) -> Axis | None:
        """None for a distribution that has no list of values."""
        if isinstance(distribution, IntDistribution):
            values = range(distribution.low, distribution.high + 1, distribution.step)
            return cls(name, values, ordered=True, log=distribution.log)
        if isinstance(distribution, CategoricalDistribution):
            return cls(name, distribution.choices, all(map(_is_number, distribution.choices)))
        return None

    def rows(self, indices: npt.NDArray[np.intp]) -> Floats:
        """(points, columns) of the values at so many indices."""
        labels = not self.ordered or len(self.values) <= FEW
        share = 0.5 if self.ordered and labels else 1.0
        columns = []
        if labels:
            columns.append(np.sqrt(share / 2) * (indices[:, None] == np.arange(len(self.values))))
        if self.ordered:
            columns.append(np.sqrt(share) * self._magnitudes(indices)[:, None])
        return np.hstack(columns)

    def _magnitudes(self, indices: npt.NDArray[np.intp]) -> Floats:
        """From 0 at the smallest value to 1 at the largest."""
        ends = self.values[:: len(self.values) - 1] if self._even else self.values
        numbers = np.array([min(ends), max(ends), *(self.values[i] for i in indices)], dtype=float)
        numbers = np.log(numbers) if self.log else numbers
        return np.asarray((numbers[2:] - numbers[0]) / (numbers[1] - numbers[0]))

    @property
    def _even(self) -> bool:
        """A range, which may be too long to look through."""
        return isinstance(self.values, range)

    def other(self, index: int, rng: random.Random) -> int:
        """Another index: any, and half of the time an adjacent one where there are many."""
        if len(self.values) > NEAR and self.ordered and rng.random() < 0.5:
            return _reflect(index + 2 * draw(2, rng) - 1, len(self.values))
        found = draw(len(self.values) - 1, rng)
        return found + (found >= index)

    def others(self, index: int, rng: random.Random) -> list[int]:
        """All other indices where they are few, else the adjacent ones and two more."""
        if len(self.values) <= NEAR:
            return [i for i in range(len(self.values)) if i != index]
        near = {_reflect(index - 1, len(self.values)), _reflect(index + 1, len(self.values))}
        return sorted(near | {self.other(index, rng) for _ in range(2)})


@dataclass(frozen=True, slots=True)
class Grid:
    """Parameters in order. A point holds the index of each one's value."""

    axes: tuple[Axis, ...]
    free: tuple[int, ...]  # places of the parameters that have a choice

    @classmethod
    def of(cls, distributions: Mapping[str, BaseDistribution]) -> Grid:
        named = (Axis.of(name, distributions[name]) for name in sorted(distributions))
        axes = tuple(axis for axis in named if axis is not None)
        return cls(axes, tuple(i for i, axis in enumerate(axes) if len(axis.values) > 1))

    @property
    def size(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def point(self, params: Mapping[str, Any]) -> Point | None:
        """None where a parameter is missing or has a value that it cannot have here."""
        try:
            return tuple([axis.values.index(params[axis.name]) for axis in self.axes])
        except (KeyError, ValueError):
            return None

    def params(self, point: Point) -> dict[str, Any]:
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, point, strict=True)}

    def all(self) -> Iterator[Point]:
        """Every point, in order."""
        return product(*(range(len(axis.values)) for axis in self.axes))

    def sample(self, rng: random.Random) -> Point:
        return tuple([draw(len(axis.values), rng) for axis in self.axes])

    def mutate(self, point: Point, rng: random.Random) -> Point:
        """Another value for one parameter, with probability 2/5 for another one too, and so on."""
        found = list(point)
        while self.free:
            place = self.free[draw(len(self.free), rng)]
            found[place] = self.axes[place].other(found[place], rng)
            if rng.random() >= 0.4:
                break
        return tuple(found)

    def neighbours(self, point: Point, rng: random.Random) -> list[Point]:
        """The points that differ in one parameter."""
        return [near for place in self.free for near in self.along(place, point, rng)]

    def along(self, place: int, point: Point, rng: random.Random) -> list[Point]:
        """The points that differ in the parameter at this place."""
        others = self.axes[place].others(point[place], rng)
        return [(*point[:place], other, *point[place + 1 :]) for other in others]

    def rows(self, points: Sequence[Point]) -> Floats:
        """(points, columns); `groups` says which parameter a column belongs to."""
        indices = np.asarray(points, dtype=np.intp).reshape(len(points), len(self.axes))
        none = np.empty((len(points), 0))
        return np.hstack([none, *(self.axes[i].rows(indices[:, i]) for i in self.free)])

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        none = np.zeros(1, dtype=np.intp)
        widths = [self.axes[i].rows(none).shape[1] for i in self.free]
        return np.repeat(np.arange(len(widths)), widths)


def cross(one: Point, two: Point, rng: random.Random) -> Point:
    """Each value from either."""
    return tuple([a if rng.random() < 0.5 else b for a, b in zip(one, two, strict=True)])


def draw(count: int, rng: random.Random) -> int:
    """An integer under `count`; several times as fast as randrange."""
    return int(rng.random() * count)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reflect(index: int, length: int) -> int:
    return length - 2 if index >= length else abs(index)
