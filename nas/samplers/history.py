"""What a study tells a sampler: the space that its trials share, and what became of them."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import moocore
import numpy as np
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.candidates import Judge
from nas.samplers.encoding import Floats, Point

_ASK = inspect.unwrap(Study.ask).__code__


@dataclass(frozen=True, slots=True)
class History:
    """The trials of a study on a grid. Losses are values turned so that less is better."""

    points: tuple[Point, ...]  # of complete trials with finite values
    losses: Floats  # (points, objectives)
    signs: tuple[float, ...]  # losses are values times these
    pending: tuple[Point, ...]  # of running trials
    taken: frozenset[Hashable]  # keys of all trials that were, are or will be run
    conditional: bool  # whether trials have parameters that are not in the grid

    @classmethod
    def of(
        cls,
        trials: Iterable[FrozenTrial],
        directions: Sequence[StudyDirection],
        judge: Judge,
        proposed: Mapping[int, Mapping[str, Any]],
    ) -> History:
        """`proposed`: params by trial number, for those that have not been told all of theirs."""
        points, losses, pending, taken, conditional = [], [], [], set(), False
        signs = tuple(-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions)
        for trial in trials:
            params = _params(trial, proposed)
            point = judge.grid.point(params)
            if point is None:
                continue
            if len(params) == len(judge.grid.axes):
                taken.add(judge.key(point))
            else:  # others of the same point may differ from it in a conditional parameter
                conditional = True
            if trial.state == TrialState.RUNNING:
                pending.append(point)
            elif trial.state == TrialState.COMPLETE and all(map(math.isfinite, trial.values)):
                points.append(point)
                losses.append([s * v for s, v in zip(signs, trial.values, strict=True)])
        rows = np.array(losses, dtype=float).reshape(len(points), len(signs))
        return cls(tuple(points), rows, signs, tuple(pending), frozenset(taken), conditional)

    def front(self) -> list[Point]:
        """The points that no other dominates."""
        if not self.points:
            return []
        mask = moocore.is_nondominated(self.losses)
        return [point for point, best in zip(self.points, mask, strict=True) if best]


def _params(trial: FrozenTrial, proposed: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
    if trial.state == TrialState.WAITING:  # enqueued: its params are set when it begins
        return dict(trial.system_attrs.get("fixed_params", {}))
    if trial.state == TrialState.RUNNING:
        return {**proposed.get(trial.number, {}), **trial.params}
    return trial.params


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
