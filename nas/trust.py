"""How far a run's ranking can be believed: noise, what it hides, and confirmed accuracies.

An accuracy counted on n images has the standard error √(p(1-p)/n). Two of them are told apart, at
95 %, where they differ by 1.96 times the root of the sum of their squared errors. That takes them
for independent, which is careful, since the trials of a run are scored on the same images.

The noise also bounds the ranking: with the part of the accuracies' variance that it does not
explain as the true spread, `ceiling` is the mean τ, over simulations, between true accuracies of
that spread and accuracies counted on n images. What a brief training ranks wrongly whatever the
images comes on top, and only `confirmed` sees it: τ between the search's accuracies and those of
longer trainings (`nas search --confirm`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from nas.pareto import standard_error
from nas.ranking import FEWEST, Agreement, agreement, tau
from nas.records import COMPLETE, Trial
from nas.run import Run

TOLD = 1.96  # standard errors of a difference, at 95 %
SIMULATIONS = 100


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A trial's accuracy in the search and after a longer training, with their standard errors."""

    number: int
    accuracy: float
    accuracy_error: float
    confirmed: float
    confirmed_error: float


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of a run's ranking; accuracies and their differences are shares of 1.

    `difference`: from where on two accuracies near the median are told apart; `finest`: one image.
    `ties`: of each point of the front, the points that it is not told from. `seeds`: the standard
    deviation between seeds of one network, where `repeated` networks were trained more than once.
    """

    run: str
    trials: int
    validation_size: int
    error: float
    difference: float
    finest: float
    ceiling: float | None
    ties: dict[int, tuple[int, ...]]
    seeds: float | None
    repeated: int
    agreement: Agreement | None
    confirmed: tuple[Confirmed, ...]

    def to_dict(self) -> dict[str, Any]:
        ties = [{"number": n, "not_told_from": list(others)} for n, others in self.ties.items()]
        return {**asdict(self), "ties": ties}

    @property
    def sentence(self) -> str:
        """What a search knows of it for nothing."""
        tied = sum(map(bool, self.ties.values()))
        return (
            f"{self.validation_size:,} validation images tell accuracies apart that differ by "
            f"{100 * self.difference:.2g} points or more; {tied} of the front's {len(self.ties)} "
            f"are not told from another of it"
        )


def trust(run: Run, others: Sequence[Run] = ()) -> Trust | None:
    """How far a run's ranking can be believed; None before a trial is complete.

    `others`: runs whose trainings of the same networks on the same task tell the seeds' noise.
    """
    done = [trial for trial in run.records if trial.state == COMPLETE and trial.result]
    if not done:
        return None
    accuracies = [t.result.accuracy for t in done if t.result]
    images = min(t.result.validation_size for t in done if t.result)
    error = standard_error(median(accuracies), images)
    seeds, repeated = _seeds([run, *_same_task(run, others)])
    confirmed = _confirmed(run, done)
    return Trust(
        run=str(run.path),
        trials=len(done),
        validation_size=images,
        error=error,
        difference=told_apart(median(accuracies), images),
        finest=1 / images,
        ceiling=_ceiling(accuracies, images),
        ties=_ties(run),
        seeds=seeds,
        repeated=repeated,
        agreement=_agreement(confirmed),
        confirmed=confirmed,
    )


def told_apart(accuracy: float, images: int) -> float:
    """The difference from which on two accuracies about this one are told apart."""
    return TOLD * standard_error(accuracy, images) * 2**0.5


def _ties(run: Run) -> dict[int, tuple[int, ...]]:
    """The front's trials by number: those of it that each is not told from."""
    front = run.front
    points = list(zip(front["number"], front["accuracy"], front["accuracy_error"], strict=True))
    return {
        int(a): tuple(int(b) for b, y, t in points if a != b and abs(x - y) < TOLD * np.hypot(s, t))
        for a, x, s in points
    }


def _ceiling(accuracies: Sequence[float], images: int) -> float | None:
    """The τ with the truth that the images' noise leaves; None where there are too few trials."""
    if len(accuracies) < FEWEST:
        return None
    found = np.asarray(accuracies)
    noise = float(np.mean(found * (1 - found))) / images
    share = max(1 - noise / max(float(found.var(ddof=1)), 1e-12), 0.0)
    truth = found.mean() + share**0.5 * (found - found.mean())
    rng = np.random.default_rng(0)
    counted = rng.binomial(images, truth.clip(0, 1), size=(SIMULATIONS, len(truth)))
    return float(np.mean([tau(row, truth) for row in counted]))


def _same_task(run: Run, others: Sequence[Run]) -> list[Run]:
    return [other for other in others if other.info["task"]["id"] == run.info["task"]["id"]]


def _seeds(runs: Sequence[Run]) -> tuple[float | None, int]:
    """Standard deviation of an accuracy over seeds, and how many networks have several."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in (trial for run in runs for trial in run.records):
        if trial.state == COMPLETE and trial.result:
            found[trial.id][trial.seed] = trial.result.accuracy
    several = [list(by_seed.values()) for by_seed in found.values() if len(by_seed) > 1]
    if not several:
        return None, 0
    return float(np.sqrt(np.mean([np.var(values, ddof=1) for values in several]))), len(several)


def _confirmed(run: Run, done: Sequence[Trial]) -> tuple[Confirmed, ...]:
    longer = {trial.number: trial.result for trial in run.confirmed if trial.result}
    found = []
    for trial in done:
        if trial.result and (result := longer.get(trial.number)):
            pair = [
                number
                for r in (trial.result, result)
                for number in (r.accuracy, standard_error(r.accuracy, r.validation_size))
            ]
            found.append(Confirmed(trial.number, *pair))
    return tuple(found)


def _agreement(confirmed: Sequence[Confirmed]) -> Agreement | None:
    if len(confirmed) < FEWEST:
        return None
    return agreement([c.accuracy for c in confirmed], [c.confirmed for c in confirmed])
