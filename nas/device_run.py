"""An old run as another device would have it, and where more trials would pay there.

Accuracy does not depend on the device, so that the trials of one run make a front for every device
that has a table. A run of another device, though, has sought trials where its own front is. Where
this one's has gaps, a network may add up to

    gain = (latency to the right − left) · (accuracy to the right − left)

to the hypervolume, a bound and no promise. Trials that lie there already have tried and failed, so
that the region of the largest gain / (1 + trials) is named, of those that the space reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pandas as pd

from nas.arch import trace
from nas.blocks import import_blocks
from nas.budget import Budget
from nas.feasible import random_candidates
from nas.gate import excess_of
from nas.latency.table import DeviceTable
from nas.metrics import METRICS
from nas.prior import space_of
from nas.records import BASELINES, COMPLETE, TRIALS, Trial, read_trials
from nas.run import Run, frame, front

SAMPLE = 500  # architectures of the space, to see where they lie


class DeviceRun(Run):
    """A run whose every latency is an estimate of a table; `budgets` take the place of its own."""

    def __init__(self, path: str | Path, table: DeviceTable, budgets: Sequence[str] = ()) -> None:
        super().__init__(path, budgets)
        settings = self.info["settings"]
        import_blocks(settings["blocks"])
        self.table = table
        self.info["latencies_of"] = table.device.to_dict()
        if not budgets:  # its own latency limits are another device's
            settings["budget"] = [text for text in settings["budget"] if not _is_latency(text)]
        self.finals = {}

    @cached_property
    def records(self) -> list[Trial]:
        return [self._estimated(trial) for trial in read_trials(self.path / TRIALS)]

    @cached_property
    def baselines(self) -> pd.DataFrame:
        known = [t for t in read_trials(self.path / BASELINES) if t.arch]  # others have no graph
        return frame([self._estimated(trial) for trial in known])

    def _estimated(self, trial: Trial) -> Trial:
        return replace(trial, latency=self.table.latency(trace(trial.architecture)).to_dict())


def _is_latency(budget: str) -> bool:
    return "latency" in Budget.parse(budget)


@dataclass(frozen=True, slots=True)
class Region:
    """Latencies between two neighbours on a front, in milliseconds, and what may lie there.

    `gain` is in accuracy · ms; `trials` are complete ones; `share` is that of the space's
    architectures within the budget, of a random sample.
    """

    low: float
    high: float
    gain: float
    trials: int
    share: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return asdict(self)


def regions(run: DeviceRun, seed: int = 0) -> list[Region]:
    """The gaps of the front of accuracy and latency, from the fastest network to the limit."""
    sample = _latencies(run, seed)
    if not sample:
        return []
    done = run.trials[run.trials["state"] == COMPLETE]
    found = front(run.trials, ("accuracy", "latency"))
    limit = dict(run.budget.limits).get("latency", max([*sample, *done["latency_ms"]]))
    chance = run.info["hypervolume_reference"]["accuracy"]
    fastest = min([*sample, *found["latency_ms"]])
    points = zip(found["latency_ms"], found["score"].clip(lower=chance), strict=True)
    # Slower networks show what score can be had; the best one's error stands for a little more.
    top = max([chance, *(done["score"] + done["score_error"])])
    return [
        _region(left, right, done["latency_ms"], sample)
        for left, right in pairwise([(fastest, chance), *points, (limit, top)])
        if left[0] < right[0]
    ]


def _region(
    left: tuple[float, float], right: tuple[float, float], trials: pd.Series, sample: list[float]
) -> Region:
    (low, below), (high, above) = left, right
    return Region(
        low=float(low),
        high=float(high),
        gain=float((high - low) * (above - below)),
        trials=int(trials.between(low, high, inclusive="neither").sum()),
        share=sum(low <= ms <= high for ms in sample) / len(sample),
    )


def promising(found: Sequence[Region]) -> Region | None:
    """The region where more trials would pay most; None where the space reaches no gap."""
    reached = [region for region in found if region.share > 0 and region.gain > 0]
    return max(reached, key=lambda region: region.gain / (1 + region.trials), default=None)


def _latencies(run: DeviceRun, seed: int) -> list[float]:
    """Estimates of random architectures of the run's space within the budget."""
    settings = run.info["settings"]
    space = space_of(run).bind(
        resolution=settings["resolution"], classes=len(run.info["task"]["classes"])
    )
    limit = dict(run.budget.limits).get("latency", float("inf"))
    drawn = random_candidates(space, SAMPLE, seed)
    allowed = (c for c in drawn if excess_of(run.budget, c) <= 0)
    estimates = (run.table.estimator.predict(c.graph).ms for c in allowed)
    return [ms for ms in estimates if ms <= limit]


def advice(run: DeviceRun) -> str:
    """Where more trials would pay, for a person."""
    region = promising(regions(run))
    if region is None:
        return "No gap of the front is within reach of the space."
    ms = METRICS["latency"].format
    count = int((run.trials["state"] == COMPLETE).sum())
    return (
        f"More trials would pay most from {ms(region.low)} to {ms(region.high)}: {region.trials} "
        f"of {count} trials lie there, and {region.share:.0%} of the space's architectures within "
        "the budget."
    )
