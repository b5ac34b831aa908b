"""Fronts and hypervolumes, by moocore. Points are rows of values, one column an objective."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import numpy.typing as npt

from nas.metrics import METRICS
from nas.records import Trial

Points = npt.NDArray[np.float64]


def points_of(trials: Sequence[Trial], objectives: Sequence[str]) -> Points:
    """(trials, objectives) values, NaN where a trial has none."""
    rows = [[trial.value(name) for name in objectives] for trial in trials]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))


def leading(trials: Sequence[Trial], objectives: Sequence[str]) -> list[Trial]:
    """Those that no other dominates; of equal ones the first.

    The front of a front and a newcomer is that of all, so a front is kept up at its own size.
    """
    mask = non_dominated(points_of(trials, objectives), maximised(objectives))
    return [trial for trial, best in zip(trials, mask, strict=True) if best]


def non_dominated(points: Points, maximise: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Which rows no other row dominates; of equal rows the first. NaN rows never are."""
    known = ~np.isnan(points).any(axis=1)
    mask = np.zeros(len(points), dtype=bool)
    if known.any():
        mask[known] = moocore.is_nondominated(points[known], maximise=list(maximise))
    return mask


def hypervolume(points: Points, reference: Sequence[float], maximise: Sequence[bool]) -> float:
    """Volume between the front of `points` and the reference, in the objectives' units."""
    points = points[~np.isnan(points).any(axis=1)]
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, ref=list(reference), maximise=list(maximise)))


def maximised(objectives: Sequence[str]) -> list[bool]:
    """Which of the objectives grow for the better."""
    return [METRICS[name].maximise for name in objectives]
