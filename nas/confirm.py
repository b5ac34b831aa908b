"""The last step of a search: the front's candidates trained alone, once more and longer.

A search compares brief trainings. What decides its front are a few of them, and those few can be
trained for as long as the search allows: `--confirm N`. Their results stand beside the search's, in
confirmed.jsonl, and tell how far its ranking can be believed (`nas trust`). Where nobody asks for
a number, a few are trained, as far as they fit into a quarter of the search's own time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from nas.budget import Budget
from nas.evaluate import Task
from nas.executors import Job, Outcome
from nas.metrics import METRICS
from nas.proxies.batch import IMAGES
from nas.recipe import PRESETS, Recipe
from nas.records import COMPLETE, FAILED, Trial

LONGER = 3  # times the search's own epochs, where these are more than the preset's
FEW = 3  # are confirmed where nobody asks for a number
SHARE = 0.25  # of the search's time, that these few may take
LEAST = 1.0  # seconds for trials, whatever was done before them has taken
TRAINING = 4  # times what a network takes to be scored at once, for as many images


def confirming(recipe: Recipe) -> Recipe:
    """The preset `thorough`, longer where the search's own recipe is long."""
    preset = PRESETS["thorough"]
    return preset.but(
        epochs=max(preset.epochs, LONGER * recipe.epochs),
        subset=max(preset.subset, recipe.subset),
        proxy_resolution=recipe.proxy_resolution,
        stem_stride=recipe.stem_stride,
        threads=recipe.threads,
    )


def trials_end(deadline: float, confirm: int | None) -> float:
    """When the last trial may begin in a search that ends at the `deadline`, which may be inf.

    Both on the clock of `time.monotonic`. The few that nobody asked for have to fit in as well.
    """
    now = time.monotonic()
    left = max(deadline - now, LEAST)
    return now + (left / (1 + SHARE) if confirm is None else left)


def candidates(
    trials: Sequence[Trial], objectives: Sequence[str], budget: Budget, count: int
) -> list[Trial]:
    """The complete trials within the budget that fall least short of the front, best first.

    A trial falls short by what the highest score of those that cost no more has on it; the front's
    own by nothing, of these the higher come first.
    """
    done = [t for t in trials if t.state == COMPLETE and t.result and t.within(budget)]
    costs = [name for name in objectives if not METRICS[name].maximise]

    def worth(trial: Trial) -> tuple[float, float]:
        rivals = [t for t in done if all(_value(t, n) <= _value(trial, n) for n in costs)]
        best = max(_value(t, "accuracy") for t in rivals)
        return best - _value(trial, "accuracy"), -_value(trial, "accuracy")

    return sorted(done, key=worth)[:count]


def predicted(trial: Trial, task: Task, images: int) -> float:
    """About how many seconds it takes to train a trial longer, on at most so many `images`."""
    if trial.result is None:
        return inf
    long = confirming(task.recipe)
    steps, seconds = long.epochs * min(long.subset, images), trial.result.seconds
    if task.at_once:
        return seconds * TRAINING * steps / (trial.result.validation_size or IMAGES)
    brief = task.recipe.epochs * min(task.recipe.subset, images) * min(task.recipe.width, 1.0)
    return seconds * steps / brief


def longer(trial: Trial, task: Task) -> Job:
    """The job that trains a trial's network again, for longer and by the same seed."""
    recipe, brief = confirming(task.recipe), task.recipe
    longer_by = recipe.epochs * recipe.subset / (brief.epochs * brief.subset)
    return Job(
        trial.number,
        trial.architecture,
        replace(task, recipe=recipe, shared=None, untrained=None),
        trial.seed,
        recipe.epochs,
        patience=inf if task.at_once else longer_by,
    )


def resulting(trial: Trial, outcome: Outcome) -> Trial:
    """A trial with what came of a training, failed where that raised or its workers were lost."""
    trial = replace(trial, cpu=outcome.cpu, retries=0, sampler={})
    if outcome.rung is None:
        return replace(trial, state=FAILED, result=None, error=outcome.error)
    result = outcome.rung.result
    return replace(trial, result=result, seconds=result.seconds)


def _value(trial: Trial, name: str) -> float:
    return trial.value(name) or 0.0
