"""The end of a search: its front is measured, its candidates confirmed, baselines stand beside it.

Every line is on the disk before the next begins, so a resume goes on with what is left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from nas.arch import trace
from nas.baselines import baseline
from nas.budget import Budget
from nas.confirm import FEW, SHARE, candidates, longer, predicted, resulting
from nas.data import Data
from nas.evaluate import Task
from nas.executors import Executor, Job, Outcome, all_of
from nas.graph import Graph
from nas.latency import Latency
from nas.loop import seed_of
from nas.metrics import plural
from nas.progress import Progress
from nas.records import BASELINES, CONFIRMED, FINAL, Trial, append_line, read_lines, read_trials
from nas.run import Run
from nas.scores import in_words
from nas.settings import Settings


@dataclass(frozen=True, slots=True)
class Finale:
    """What is done when all trials have ended.

    `executor` trains as it did in the search, which ends at the `deadline` (`time.monotonic`).
    `measure` times a network while nothing trains, None where a search measures nothing; `known`
    is the best that can be known of a latency here.
    """

    folder: Path
    settings: Settings
    budget: Budget
    task: Task
    data: Data
    executor: Executor
    deadline: float
    progress: Progress
    measure: Callable[[Graph], Latency] | None
    known: Callable[[Graph], Latency]

    def run(self) -> None:
        self._time_front()
        self._confirm()
        self._baselines()

    def _time_front(self) -> None:
        """Measure the front at last, of which a lucky timing or a wrong estimate may be part.

        Those that exceed the latency budget leave it; others may take their place, and are
        measured too. What a table of another device estimates is not measured here.
        """
        path, found = self.folder / FINAL, Run(self.folder)
        read_lines(path, repair=True)
        while self.measure and (
            left := [int(n) for n in found.front["number"] if n not in found.finals]
        ):
            for number in left:
                self.progress.say(f"trial {number} is on the front: measured")
                latency = self.measure(trace(found.architecture(number)))
                line = {"number": number, "latency": latency.to_dict()}
                append_line(path, json.dumps(line))
            found = Run(self.folder)

    def _confirm(self) -> None:
        """Train the front's candidates again, for longer: as many as asked for, or as fit."""
        asked = self.settings.confirm
        if asked == 0:
            return
        path, run = self.folder / CONFIRMED, Run(self.folder)
        done = {trial.number for trial in read_trials(path, repair=True)}
        # The loop keeps no architectures, and may know estimates where the front was measured.
        trials = [replace(t, latency=run.finals.get(t.number, t.latency)) for t in run.records]
        found = candidates(trials, self.settings.objectives, self.budget, asked or FEW)
        found = [trial for trial in found if trial.number not in done]
        if asked is None:
            found = self._fitting(found, sum(trial.seconds for trial in trials))
        self._train([(trial, longer(trial, self.task)) for trial in found], path)

    def _fitting(self, trials: Sequence[Trial], searched: float) -> list[Trial]:
        """The first that fit into a share of the seconds `searched`, of all slots together."""
        slots = self.executor.slots
        allowed = min(SHARE * searched / slots, self.deadline - time.monotonic())
        each = [predicted(trial, self.task, len(self.data.train)) for trial in trials]
        ends = zip(trials, each, accumulate(each), strict=True)
        found = [t for t, own, end in ends if own <= allowed and end <= allowed * slots]
        if found:
            few = plural(len(found), "trial")
            self.progress.say(f"{few} of the front trained again, for longer; --confirm 0 does not")
        return found

    def _baselines(self) -> None:
        """Evaluate published networks by the same recipe; they are no trials."""
        path = self.folder / BASELINES
        done = {trial.name for trial in read_trials(path, repair=True)}
        jobs = []
        for number, name in enumerate(self.settings.baselines, 1):
            if name in done:
                continue
            known = self.known if self.settings.timed else None
            network, trial = baseline(
                name, -number, self.task, len(self.data.classes), self._seed, known
            )
            if trial.error:
                append_line(path, trial.to_json())
                self.progress.aside(trial, said(trial, trial))
            else:
                epochs = self.task.recipe.epochs
                jobs.append((trial, Job(trial.number, network, self.task, trial.seed, epochs)))
        self._train(jobs, path)

    def _train(self, jobs: Sequence[tuple[Trial, Job]], path: Path) -> None:
        """Do the jobs of trials, and append what comes of each to a file."""
        for trial, job in jobs:
            self.progress.begin(trial, job.epochs)
        trials = {trial.number: trial for trial, _ in jobs}
        for outcome in all_of((job for _, job in jobs), self.executor, self._begins_again):
            trial = trials[outcome.number]
            found = resulting(trial, outcome)
            append_line(path, found.to_json())
            self.progress.aside(found, said(trial, found))

    def _begins_again(self, outcome: Outcome) -> None:
        what = f"trial {outcome.number}" if outcome.number >= 0 else "a published network"
        self.progress.say(f"{what} begins again: {outcome.error}")

    def _seed(self, identity: str) -> int:
        return seed_of(self.settings.seed, identity)


def said(before: Trial, after: Trial) -> str:
    """What a person is told of a training that has ended."""
    what = after.name or f"trial {after.number}"
    if after.result is None:
        return f"{what}: {after.error}"
    text = f"{what}: {in_words(after.result.score, after.result.accuracy)}"
    if before.result is None:
        return text
    earlier = in_words(before.result.score, before.result.accuracy).removeprefix("accuracy ")
    return f"{text} after {len(after.result.curve)} epochs, {earlier} in the search"
