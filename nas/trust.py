"""How far a run's ranking can be believed: noise, what it hides, and confirmed accuracies.

Two accuracies, whose standard errors are in `nas.scores`, are told apart, at 95 %, where they
differ by 1.96 times the root of the sum of their squared errors. That takes them for independent,
which is careful, since the trials of a run are scored on the same images.

The noise also bounds the ranking: with the part of the accuracies' variance that it does not
explain as the true spread, `ceiling` is the mean τ, over simulations, between true accuracies of
that spread and accuracies counted on n images. What a brief training ranks wrongly whatever the
images comes on top, and only `confirmed` sees it: τ between the search's accuracies and those of
longer trainings (`nas search --confirm`).

Where a run ranks by another score than accuracy (`nas.scores`), all of this is said of the score,
and n is the number of images that counting leaves the score's error on (`nas.certainty`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from nas.certainty import effective_images
from nas.ranking import FEWEST_NETWORKS, Agreement, agreement, tau
from nas.records import COMPLETE, Result, Trial
from nas.run import Run
from nas.scores import SCORES, standard_error

TOLD = 1.96  # standard errors of a difference, at 95 %
SIMULATIONS = 100


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A trial's score and accuracy in the search, and its accuracy after a longer training.

    With their standard errors; an untrained network has no accuracy.
    """

    number: int
    accuracy: float | None
    accuracy_error: float | None
    confirmed: float
    confirmed_error: float
    score: float
    score_error: float


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of a run's ranking; scores and their differences are shares of 1.

    `proxy`: what they are, a key of `nas.scores.SCORES`. `error`: the median of their standard
    errors; `difference`: from where on two of that error are told apart; `finest`: one image, None
    where they are no shares of images. `ties`: of each point of the front, the points that it is
    not told from. `seeds`: the standard deviation between seeds of one network, where `repeated`
    networks were trained more than once.
    """

    run: str
    proxy: str
    trials: int
    validation_size: int
    error: float
    difference: float
    finest: float | None
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
        score, tied = SCORES[self.proxy], sum(map(bool, self.ties.values()))
        if not score.counted:
            return f"{score.plural.title()} of {score.of} have no noise, and are no accuracies"
        return (
            f"{self.validation_size:,} validation images tell {score.plural} apart that differ by "
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
    results = [t.result for t in done if t.result]
    error = median(result.score_error for result in results)
    images = min(result.validation_size for result in results)
    seeds, repeated = _seeds([run, *_same_task(run, others)])
    confirmed = _confirmed(run, done)
    return Trust(
        run=str(run.path),
        proxy=run.proxy,
        trials=len(done),
        validation_size=images,
        error=error,
        difference=_difference(error),
        finest=1 / images if run.proxy == "alone" else None,
        ceiling=_ceiling(results),
        ties=_ties(run),
        seeds=seeds,
        repeated=repeated,
        agreement=_agreement(confirmed),
        confirmed=confirmed,
    )


def told_apart(accuracy: float, images: int) -> float:
    """The difference from which on two accuracies about this one are told apart."""
    return _difference(standard_error(accuracy, images))


def _difference(error: float) -> float:
    return TOLD * error * 2**0.5


def _ties(run: Run) -> dict[int, tuple[int, ...]]:
    """The front's trials by number: those of it that each is not told from."""
    front = run.front
    points = list(zip(front["number"], front["score"], front["score_error"], strict=True))
    return {
        int(a): tuple(int(b) for b, y, t in points if a != b and abs(x - y) < TOLD * np.hypot(s, t))
        for a, x, s in points
    }


def _ceiling(results: Sequence[Result]) -> float | None:
    """The τ with the truth that the images' noise leaves; None of too few trials, or no images."""
    if len(results) < FEWEST_NETWORKS or not all(result.validation_size for result in results):
        return None
    rows = [(result.score, result.score_error, result.validation_size) for result in results]
    found, error, images = np.array(rows).T
    share = max(1 - float(np.mean(error**2)) / max(float(found.var(ddof=1)), 1e-12), 0.0)
    truth = found.mean() + share**0.5 * (found - found.mean())
    known = effective_images(found, error, images, np.ones(len(found)), 0.0)
    whole = np.maximum(known.round(), 1).astype(np.int64)
    rng = np.random.default_rng(0)
    counted = rng.binomial(whole, truth.clip(0, 1), size=(SIMULATIONS, len(truth))) / whole
    return float(np.mean([tau(row, truth) for row in counted]))


def _same_task(run: Run, others: Sequence[Run]) -> list[Run]:
    return [other for other in others if other.info["task"]["id"] == run.info["task"]["id"]]


def _seeds(runs: Sequence[Run]) -> tuple[float | None, int]:
    """Standard deviation of a score over seeds, and how many networks have several."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for trial in (trial for run in runs for trial in run.records):
        if trial.state == COMPLETE and trial.result:
            found[trial.id][trial.seed] = trial.result.score
    several = [list(by_seed.values()) for by_seed in found.values() if len(by_seed) > 1]
    if not several:
        return None, 0
    return float(np.sqrt(np.mean([np.var(values, ddof=1) for values in several]))), len(several)


def _confirmed(run: Run, done: Sequence[Trial]) -> tuple[Confirmed, ...]:
    longer = {trial.number: trial.result for trial in run.confirmed if trial.result}
    pairs = ((t.number, t.result, longer.get(t.number)) for t in done)
    return tuple(_pair(number, a, b) for number, a, b in pairs if a and b)


def _pair(number: int, brief: Result, longer: Result) -> Confirmed:
    """A longer training is one alone, whose score is its accuracy."""
    counted, images = brief.accuracy, brief.validation_size
    return Confirmed(
        number=number,
        accuracy=counted,
        accuracy_error=None if counted is None else standard_error(counted, images),
        confirmed=longer.score,
        confirmed_error=longer.score_error,
        score=brief.score,
        score_error=brief.score_error,
    )


def _agreement(confirmed: Sequence[Confirmed]) -> Agreement | None:
    if len(confirmed) < FEWEST_NETWORKS:
        return None
    return agreement([c.score for c in confirmed], [c.confirmed for c in confirmed])
