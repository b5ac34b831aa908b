"""Trials from proposal to record: ask → gate → train, rung by rung → tell → record.

As many trials are under way as the executor has slots. What a trial is does not depend on where or
when it runs: it is numbered when it is asked for, and its seed follows from its architecture.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from optuna.samplers import BaseSampler

from nas.errors import InputError
from nas.evaluate import Rung, Task
from nas.executors import ATTEMPTS, Executor, Job, Outcome
from nas.gate import Gate
from nas.interrupt import patient
from nas.journal import Journal
from nas.progress import Progress
from nas.proposals import proposer
from nas.records import COMPLETE, FAILED, RUNNING, STOPPED, Trial, cost_dict, own
from nas.rungs import Rivals
from nas.samplers import COST_AWARE, SpaceExhausted
from nas.settings import Settings
from nas.space import Candidate
from nas.study import Study

HOPELESS = 5  # failed trials from the start, after which a search ends


@dataclass(slots=True)
class Running:
    """A trial under way; `asked` is its number in the study."""

    trial: Trial
    asked: int
    started: float
    job: Job | None = None


class Waiting(NamedTuple):
    """A trial that an earlier session has brought to a rung, and its number in the study."""

    trial: Trial
    asked: int


@dataclass(slots=True)
class Loop:
    """What runs between a search's beginning and its end; `journal` grows as trials finish.

    No trial begins after the `deadline`, on the clock of `time.monotonic`. Whatever a trial costs
    here, in time and in memory, is the same for the first and the ten-thousandth.
    """

    journal: Journal
    settings: Settings
    task: Task
    gate: Gate
    executor: Executor
    progress: Progress
    deadline: float = math.inf
    running: dict[int, Running] = field(default_factory=dict, init=False)
    waiting: deque[Waiting] = field(default_factory=deque, init=False)
    exhausted: bool = field(default=False, init=False)
    interrupted: bool = field(default=False, init=False)
    rivals: Rivals = field(init=False)
    study: Study = field(init=False)
    version: int = field(init=False)
    numbers: Iterator[int] = field(init=False)

    def run(self) -> None:
        """Run until the trials, the time or the space is used up.

        After a first ctrl-C the trials under way are finished, then KeyboardInterrupt is raised.
        """
        self.rivals = Rivals(self.settings.objectives, self.journal.trials, self.gate.budget)
        self.study = self._study()
        with patient(self._interrupt):
            self._take_up()
            self._fill()
            while self.running:
                if outcome := self.executor.next():
                    self._advance(outcome)
                self._fill()
        if self.interrupted:
            raise KeyboardInterrupt

    def _interrupt(self) -> None:
        self.interrupted = True
        if count := len(self.running):
            trials = "a trial" if count == 1 else f"{count} trials"
            self.progress.say(f"interrupted: finishing {trials} under way; ctrl-C stops them too")

    def _study(self) -> Study:
        """The study of all trials so far."""
        objectives, forecast = self.settings.objectives, self.rivals.forecast
        study = Study(self.gate.space, self._sampler(), objectives, forecast)
        for trial in self.journal.trials:
            study.add(trial)
        return study

    def _sampler(self) -> BaseSampler:
        """Seeded by the search's seed and the number of trials so far."""
        self.version = self.gate.learner.version
        seed = seed_of(self.settings.seed, len(self.journal.trials))
        return proposer(self.settings, self.gate.space, self.gate, seed)

    # Beginning a trial ---------------------------------------------------------------------------

    def _fill(self) -> None:
        """Begin trials while there is room for them, or go on with those that wait."""
        while self._room() and (self.waiting or not self.exhausted):
            if self.waiting:
                self._go_on(*self.waiting.popleft())
            else:
                self._start()

    def _room(self) -> bool:
        return (
            len(self.running) < self.executor.slots
            and self.journal.count + len(self.running) < self.settings.trials
            and time.monotonic() < self.deadline
            and not self.interrupted
        )

    def _start(self) -> None:
        """Begin a trial, if the space has one left."""
        started = time.perf_counter()
        try:
            asked, candidate = self._ask()
        except SpaceExhausted as end:
            count = self.journal.count + len(self.running)
            self.progress.say(f"{end}; the search ends after {count} trials")
            self.exhausted = True
            return
        self.gate.seen.add(candidate.id)
        trial = self._trial(candidate, asked)
        self._run(trial, asked, started)
        try:
            latency = self.gate.latency(candidate).to_dict() if self.settings.timed else None
        except Exception as error:  # one bad network must not end a search
            self._finish(trial, FAILED, f"{type(error).__name__}: {error}")
        else:
            self._submit(replace(trial, latency=latency))

    def _ask(self) -> tuple[int, Candidate]:
        if not self.gate.space.parameters:  # Optuna asks no sampler where nothing is to choose
            self.gate.mend({}, random.Random())
        if self.version != self.gate.learner.version and self.settings.sampler == COST_AWARE:
            self.study.sampler = self._sampler()  # which knows latencies better now
        return self.study.ask()

    def _trial(self, candidate: Candidate, asked: int) -> Trial:
        return Trial(
            number=next(self.numbers),
            id=candidate.id,
            params=candidate.params,
            arch=candidate.arch.to_dict(),
            cost=cost_dict(candidate.cost),
            state=RUNNING,
            seed=seed_of(self.settings.seed, candidate.id),
            sampler=self.study.kept(asked),
        )

    def _run(self, trial: Trial, asked: int, started: float) -> None:
        self.running[trial.number] = Running(trial, asked, started)
        self.progress.begin(trial, self.task.recipe.epochs)

    def _take_up(self) -> None:
        """Take up the trials that passed a rung before an earlier session ended."""
        for trial in self.journal.under_way():
            self.gate.seen.add(trial.id)
            self.waiting.append(Waiting(trial, self.study.begin(trial)))
        self.numbers = self.journal.numbers({waiting.trial.number for waiting in self.waiting})

    def _go_on(self, trial: Trial, asked: int) -> None:
        self._run(trial, asked, time.perf_counter() - trial.seconds)
        self._submit(trial, self.journal.rung(trial))

    # From rung to rung ---------------------------------------------------------------------------

    def _submit(self, trial: Trial, before: Rung | None = None) -> None:
        done = before.result.rungs[-1][0] if before else 0
        ahead = (epochs for epochs in self.settings.rungs if epochs > done)
        epochs = next(ahead, self.task.recipe.epochs)
        running = self.running[trial.number]
        running.trial = trial
        running.job = Job(trial.number, trial.architecture, self.task, trial.seed, epochs, before)
        self.executor.submit(running.job)

    def _advance(self, outcome: Outcome) -> None:
        trial = replace(self.running[outcome.number].trial, cpu=outcome.cpu)
        rung = outcome.rung
        if rung is None:
            self._fail(trial, outcome)
            return
        trial = replace(trial, result=rung.result)
        if rung.state is None:
            self._finish(trial, COMPLETE)
        elif not self.rivals.may_enter(trial):
            self._finish(trial, STOPPED)
        else:
            self.journal.keep(replace(trial, seconds=self._seconds(trial)), rung.state)
            self._submit(trial, rung)

    def _fail(self, trial: Trial, outcome: Outcome) -> None:
        """Try again what a lost worker is to blame for; a network that fails would fail again."""
        job = self.running[trial.number].job
        if not outcome.lost or job is None:
            self._finish(trial, FAILED, outcome.error)
        elif trial.retries + 1 == ATTEMPTS:
            self._finish(trial, FAILED, f"{outcome.error}; {ATTEMPTS} attempts")
        else:
            trial = replace(trial, retries=trial.retries + 1)
            self.running[trial.number].trial = trial
            self.progress.say(f"trial {trial.number} begins again: {outcome.error}")
            self.executor.submit(job)

    def _finish(self, trial: Trial, state: str, error: str | None = None) -> None:
        trial = replace(trial, state=state, error=error, seconds=self._seconds(trial))
        self.study.tell(self.running.pop(trial.number).asked, trial)
        self.journal.append(trial)
        self.rivals.add(trial.light())
        self.progress.trial(trial, self.journal.trials)
        self._check_hope()

    def _seconds(self, trial: Trial) -> float:
        return time.perf_counter() - self.running[trial.number].started

    def _check_hope(self) -> None:
        if self.journal.count != HOPELESS:
            return
        trials = own(self.journal.trials)
        if all(trial.state == FAILED for trial in trials):
            raise InputError(
                f"{self.journal.folder}: all of the first {HOPELESS} trials failed, "
                f"the last with {trials[-1].error}"
            )


def seed_of(*facts: object) -> int:
    """A seed that follows from facts, whatever the order in which trials run."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 2**31
