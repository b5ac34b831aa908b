"""Trials from proposal to record: ask → gate → train, rung by rung → tell → record."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler

from nas.errors import InputError
from nas.evaluate import Rung, Task
from nas.executors import Executor, Job, Outcome
from nas.gate import Gate
from nas.progress import Progress
from nas.proposals import proposer
from nas.records import (
    COMPLETE,
    FAILED,
    RUNGS,
    RUNNING,
    STOPPED,
    TRIALS,
    Trial,
    append_line,
    cost_dict,
    own,
    read_trials,
    write_atomic,
)
from nas.rungs import Rivals
from nas.samplers import COST_AWARE, SpaceExhausted
from nas.settings import Settings
from nas.space import Candidate, Space
from nas.study import Study

HOPELESS = 5  # failed trials from the start, after which a search ends


@dataclass(slots=True)
class Running:
    """A trial under way; `asked` is None where another session has asked for it."""

    trial: Trial
    asked: optuna.Trial | None
    started: float


class Loop:
    """What runs between a search's beginning and its end.

    `trials` grows as they finish, by what is `light`: whatever a trial costs here, in time and in
    memory, is the same for the first and the ten-thousandth.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        space: Space,
        task: Task,
        gate: Gate,
        executor: Executor,
        progress: Progress,
        trials: list[Trial],
    ) -> None:
        self.folder, self.settings, self.space, self.task = folder, settings, space, task
        self.gate, self.executor, self.progress, self.trials = gate, executor, progress, trials
        self.timed = "latency" in settings.objectives or "latency" in gate.budget
        self.taken = len(trials) - len(own(trials))  # from earlier runs
        self.rivals = Rivals(settings.objectives, trials, gate.budget)
        self.running: dict[int, Running] = {}
        self.exhausted = False

    def run(self) -> None:
        """Run until the trials, the time or the space is used up."""
        self.deadline = time.monotonic() + (self.settings.time or float("inf"))
        self.study = self._study()
        try:
            self._go_on()
            begun = [-1, *self.running, *(trial.number for trial in self.trials)]
            self.numbers = itertools.count(max(begun) + 1)
            while True:
                while self._room() and self._start():
                    pass
                if not self.running:
                    return
                self._advance(self.executor.next())
        finally:
            self.executor.close()

    def _study(self) -> Study:
        """The study of all trials so far."""
        settings, forecast = self.settings, self.rivals.forecast
        study = Study(self.space, self._sampler(), settings.objectives, forecast)
        for trial in self.trials:
            study.add(trial)
        return study

    def _sampler(self) -> BaseSampler:
        """Seeded by the search's seed and the number of trials so far."""
        self.version = self.gate.learner.version
        seed = seed_of(self.settings.seed, len(self.trials))
        return proposer(self.settings, self.space, self.gate, seed)

    # Beginning a trial ---------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """Trials that have ended, without those of earlier runs."""
        return len(self.trials) - self.taken

    def _room(self) -> bool:
        count = self.done + len(self.running)
        return (
            len(self.running) < self.executor.slots
            and count < self.settings.trials
            and time.monotonic() < self.deadline
            and not self.exhausted
        )

    def _start(self) -> bool:
        """Begin a trial; false where the space has none left."""
        started = time.perf_counter()
        try:
            if not self.space.parameters:  # Optuna asks no sampler where nothing is to choose
                self.gate.mend({}, random.Random())
            if self.version != self.gate.learner.version and self.settings.sampler == COST_AWARE:
                self.study.sampler = self._sampler()  # which knows latencies better now
            asked, candidate = self.study.ask()
        except SpaceExhausted as end:
            count = self.done + len(self.running)
            self.progress.say(f"{end}; the search ends after {count} trials")
            self.exhausted = True
            return False
        trial = self._trial(candidate, asked)
        self.gate.seen.add(trial.id)
        self.running[trial.number] = Running(trial, asked, started)
        self.progress.begin(trial)
        try:
            latency = self.gate.latency(candidate).to_dict() if self.timed else None
        except Exception as error:  # one bad network must not end a search
            self._finish(trial, FAILED, f"{type(error).__name__}: {error}")
        else:
            self._submit(replace(trial, latency=latency))
        return True

    def _trial(self, candidate: Candidate, asked: optuna.Trial) -> Trial:
        identity = candidate.id
        return Trial(
            number=next(self.numbers),
            id=identity,
            params=candidate.params,
            arch=candidate.arch.to_dict(),
            cost=cost_dict(candidate.cost),
            state=RUNNING,
            seed=seed_of(self.settings.seed, identity),
            sampler=self.study.kept(asked),
        )

    def _go_on(self) -> None:
        """Submit the trials that passed a rung before an earlier session ended."""
        done = {trial.number for trial in self.trials}
        under_way = {t.number: t for t in read_trials(self.folder / RUNGS, repair=True)}
        for trial in under_way.values():
            state = self._state(trial)
            if trial.number not in done and trial.result and state.exists():
                self.running[trial.number] = Running(
                    trial, None, time.perf_counter() - trial.seconds
                )
                self.gate.seen.add(trial.id)
                self.progress.begin(trial)
                self._submit(trial, Rung(trial.result, state.read_bytes()))

    # From rung to rung ---------------------------------------------------------------------------

    def _submit(self, trial: Trial, before: Rung | None = None) -> None:
        self.running[trial.number].trial = trial
        done = before.result.rungs[-1][0] if before else 0
        ahead = (epochs for epochs in self.settings.rungs if epochs > done)
        epochs = next(ahead, self.task.recipe.epochs)
        job = Job(trial.number, trial.architecture, self.task, trial.seed, epochs, before)
        self.executor.submit(job)

    def _advance(self, outcome: Outcome) -> None:
        trial = self.running[outcome.number].trial
        rung = outcome.rung
        if rung is None:
            self._finish(trial, FAILED, outcome.error)
            return
        trial = replace(trial, result=rung.result)
        if rung.state is None:
            self._finish(trial, COMPLETE)
        elif not self.rivals.may_enter(trial):
            self._finish(trial, STOPPED)
        else:
            self._keep(trial, rung.state)
            self._submit(trial, rung)

    def _keep(self, trial: Trial, state: bytes) -> None:
        """Write what a resume needs to go on with a trial from its rung."""
        path = self._state(trial)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, state)
        trial = replace(trial, seconds=self._seconds(trial))
        append_line(self.folder / RUNGS, trial.to_json())

    def _finish(self, trial: Trial, state: str, error: str | None = None) -> None:
        trial = replace(trial, state=state, error=error, seconds=self._seconds(trial))
        asked = self.running.pop(trial.number).asked
        if asked is None:
            self.study.add(trial)
        else:
            self.study.tell(asked, trial)
        append_line(self.folder / TRIALS, trial.to_json())
        self._state(trial).unlink(missing_ok=True)
        self.rivals.add(trial.light())
        self.trials.append(trial.light())
        self.progress.trial(trial, self.trials)
        self._check_hope()

    def _seconds(self, trial: Trial) -> float:
        return time.perf_counter() - self.running[trial.number].started

    def _state(self, trial: Trial) -> Path:
        return self.folder / "state" / f"{trial.number}.safetensors"

    def _check_hope(self) -> None:
        if self.done == HOPELESS and all(trial.state == FAILED for trial in own(self.trials)):
            raise InputError(
                f"{self.folder}: all of the first {HOPELESS} trials failed, "
                f"the last with {self.trials[-1].error}"
            )


def seed_of(*facts: object) -> int:
    """A seed that follows from facts, whatever the order in which trials run."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 2**31
