"""What a study tells a sampler: the space that its trials share, and what became of them."""

from __future__ import annotations

import inspect
import math
import sys
from array import array
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.candidates import Judge
from nas.samplers.encoding import Floats, Point

_ASK = inspect.unwrap(Study.ask).__code__
HELD = 1000  # trials that are held when twice as many have been, as `thinned` chooses them


@dataclass(frozen=True, slots=True)
class History:
    """The trials of a study on a grid. Losses are values turned so that less is better."""

    points: tuple[Point, ...]  # of complete trials with finite values, those that are held
    losses: Floats  # (points, objectives)
    count: int  # of such trials, with those that are not held
    signs: tuple[float, ...]  # losses are values times these
    pending: tuple[Point, ...]  # of running trials
    taken: Taken
    conditional: bool  # whether trials have parameters that are not in the grid

    def front(self) -> list[Point]:
        """The points that no other dominates."""
        if not self.points:
            return []
        mask = moocore.is_nondominated(self.losses)
        return [point for point, best in zip(self.points, mask, strict=True) if best]


@dataclass(frozen=True, slots=True)
class Taken:
    """The keys of all trials that were, are or will be run; a set of two parts."""

    finished: Set[Hashable]
    unfinished: Set[Hashable]

    def __contains__(self, key: Hashable) -> bool:
        return key in self.finished or key in self.unfinished


class Memory:
    """What a study's trials were on a grid. A finished one is looked at once.

    So a proposal takes as long after 20,000 trials as after 2,000; of finished trials only the
    keys are held all, and at most twice HELD of the points.
    """

    def __init__(self, judge: Judge, directions: Sequence[StudyDirection]) -> None:
        self._judge = judge
        self._signs = tuple(-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions)
        self._points: list[Point] = []
        self._losses = array("d")
        self._keys: set[Hashable] = set()
        self._count = self._seen = 0
        self._open: list[int] = []  # numbers of trials that were not finished when last seen
        self._conditional = False

    def history(
        self,
        trials: Sequence[FrozenTrial],
        asking: int,
        proposed: Mapping[int, Mapping[str, Any]],
    ) -> History:
        """All `trials` of the study but the one that is asking, by its number.

        `proposed`: params by trial number, for those that have not been told all of theirs.
        """
        pending: list[Point] = []
        keys: set[Hashable] = set()
        numbers = [*self._open, *range(self._seen, len(trials))]
        self._seen, self._open = len(trials), []
        for trial in map(trials.__getitem__, numbers):
            if trial.state.is_finished():
                self._finish(trial)
                continue
            self._open.append(trial.number)
            if trial.number == asking:
                continue
            point = self._place(_params(trial, proposed), keys)
            if point is not None and trial.state == TrialState.RUNNING:
                pending.append(point)
        return History(
            tuple(self._points),
            self._rows(),
            self._count,
            self._signs,
            tuple(pending),
            Taken(self._keys, keys),
            self._conditional,
        )

    def _finish(self, trial: FrozenTrial) -> None:
        point = self._place(trial.params, self._keys)
        if point is None or trial.state != TrialState.COMPLETE:
            return
        if all(map(math.isfinite, trial.values)):
            self._points.append(point)
            self._losses.extend(s * v for s, v in zip(self._signs, trial.values, strict=True))
            self._count += 1
            if len(self._points) >= 2 * HELD:
                self._thin()

    def _place(self, params: Mapping[str, Any], keys: set[Hashable]) -> Point | None:
        """The params' point, None where they have none; its key joins `keys`."""
        point = self._judge.grid.point(params)
        if point is None:
            return None
        if len(params) == len(self._judge.grid.axes):
            keys.add(self._judge.key(point))
        else:  # others of the same point may differ from it in a conditional parameter
            self._conditional = True
        return point

    def _rows(self) -> Floats:
        return np.array(self._losses).reshape(-1, len(self._signs))

    def _thin(self) -> None:
        losses = self._rows()
        chosen = thinned(losses, HELD)
        self._points = [self._points[i] for i in chosen]
        self._losses = array("d", losses[chosen].ravel())


def thinned(losses: Floats, count: int) -> npt.NDArray[np.intp]:
    """Rising positions of so many rows: two thirds are the first by non-domination.

    The others are spread over the rest, for a model has to know what is bad as well.
    """
    ranked = np.argsort(moocore.pareto_rank(losses), kind="stable")
    if len(ranked) > count:
        first, rest = np.split(ranked, [2 * count // 3])
        spread = np.linspace(0, len(rest) - 1, count - len(first)).astype(int)
        ranked = np.concatenate([first, rest[spread]])
    return np.sort(ranked)


def _params(trial: FrozenTrial, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Those that an unfinished trial has, or will have."""
    if trial.state == TrialState.WAITING:  # enqueued: its params are set when it begins
        return dict(trial.system_attrs.get("fixed_params", {}))
    return {**proposed.get(trial.number, {}), **trial.params}


def begun_space(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters that trials have in common of which none is complete.

    Those count that have got furthest, for parameters are told one by one.
    """
    begun = [trial.distributions for trial in trials]
    most = max(map(len, begun), default=0)
    first, *others = [own for own in begun if len(own) == most] or [{}]
    return {k: d for k, d in first.items() if all(other.get(k) == d for other in others)}


def asked_space() -> dict[str, BaseDistribution]:
    """The `fixed_distributions` of the call of Study.ask that is under way, if there is one.

    Optuna hands them to a sampler one parameter at a time, too late to judge them together, so
    the argument is read from the caller's frame.
    """
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code is _ASK:
            return dict(frame.f_locals.get("fixed_distributions") or {})
        frame = frame.f_back  # type: ignore[assignment]
    return {}
