"""The loop with several trials under way, which end in any order, fail, are lost or go on later."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import RECIPE, Spoken
from optuna.trial import TrialState

from nas.budget import Budget
from nas.evaluate import Rung, Task
from nas.executors import Job, Outcome
from nas.gate import Gate
from nas.journal import Journal
from nas.loop import ATTEMPTS, Loop
from nas.progress import Progress
from nas.records import COMPLETE, FAILED, STOPPED, Result, read_trials
from nas.settings import Settings
from nas.space_file import load_space

TRIALS, EPOCHS, RUNGS = 18, 3, (1, 2)


class Killed(BaseException):
    """The driver dies."""


class Shuffled:
    """Jobs end in a random order; what comes of one follows from its seed alone."""

    def __init__(self, order: int = 0, slots: int = 3, ends: int | None = None) -> None:
        self.slots, self.ends = slots, ends  # the driver dies after so many jobs
        self.random = random.Random(order)
        self.jobs: list[Job] = []
        self.done: list[tuple[str, int]] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        assert len(self.jobs) <= self.slots

    def next(self) -> Outcome | None:
        if len(self.done) == self.ends:
            raise Killed
        job = self.jobs.pop(self.random.randrange(len(self.jobs)))
        self.done.append((job.network.id, job.epochs))
        return self.outcome(job)

    def outcome(self, job: Job) -> Outcome:
        if job.seed % 7 == 0:
            return Outcome(job.number, error="Diverged: the loss became nan")
        return Outcome(job.number, trained(job), cpu="a processor")

    def close(self) -> None:
        self.jobs.clear()


def trained(job: Job) -> Rung:
    """As if the network had been trained; its state is the epochs that were done."""
    before = json.loads(job.before.state) if job.before else []
    assert before == list(range(job.before.result.rungs[-1][0] if job.before else 0))
    rng = random.Random(job.seed)
    final = rng.uniform(0.2, 0.9)
    curve = tuple(2 - final + rng.gauss(0, 0.02) - 0.1 * epoch for epoch in range(job.epochs))
    earlier = job.before.result.rungs if job.before else ()
    rungs = (*earlier, (job.epochs, final))
    state = json.dumps(list(range(job.epochs))).encode()
    result = Result(final, 1.0, 1000, curve, rungs, 1.0)
    return Rung(result, state if job.epochs < EPOCHS else None)


def make(folder: Path, executor: Shuffled, progress: Progress | None = None, **settings) -> Loop:
    """A loop over the space `tiny` that goes on with what the folder has."""
    space = load_space("tiny").bind(classes=10)
    recipe = replace(RECIPE, epochs=EPOCHS)
    known = {"objectives": ("accuracy", "macs"), "trials": TRIALS, "sampler": "random"}
    asked = Settings(**{**known, "rungs": RUNGS, **settings}, recipe=recipe)
    gate, journal = Gate(space, Budget(), None, lambda *_: None), Journal(folder)
    for trial in journal.trials:
        gate.remember(trial)
    task = Task("digits", None, "0" * 12, recipe)
    return Loop(journal, asked, task, gate, executor, progress or Progress())


def check_whole(folder: Path) -> list:
    """Every number once, no architecture twice, the budget of trials exact."""
    found = read_trials(folder / "trials.jsonl")
    assert sorted(trial.number for trial in found) == list(range(TRIALS))
    assert len({trial.id for trial in found}) == TRIALS
    assert not list((folder / "state").glob("*"))
    return found


@pytest.mark.parametrize("sampler", ["random", "cost-aware", "nsga2"])
def test_trials_that_end_in_any_order_are_each_trained_and_recorded_once(sampler, tmp_path):
    executor = Shuffled()
    make(tmp_path, executor, sampler=sampler).run()
    found = check_whole(tmp_path)
    assert [trial.number for trial in found] != sorted(trial.number for trial in found)
    assert {trial.state for trial in found} == {COMPLETE, STOPPED, FAILED}
    assert set(Counter(executor.done).values()) == {1}
    assert {trial.cpu for trial in found if trial.result} == {"a processor"}


def test_random_trials_do_not_depend_on_the_order_in_which_they_end(tmp_path):
    facts = []
    for order, slots in ((0, 1), (1, 2), (2, 3)):
        folder = tmp_path / str(order)
        folder.mkdir()
        make(folder, Shuffled(order, slots), rungs=()).run()
        found = sorted(check_whole(folder), key=lambda trial: trial.number)
        facts.append([replace(trial, seconds=0) for trial in found])
    assert facts[0] == facts[1] == facts[2]


@pytest.mark.parametrize("sampler", ["random", "nsga2"])
def test_a_driver_that_dies_again_and_again_loses_nothing(sampler, tmp_path):
    done, order = [], 0
    while len(read_trials(tmp_path / "trials.jsonl")) < TRIALS:
        executor = Shuffled(order, slots=1 + order % 3, ends=5)
        before = (tmp_path / "trials.jsonl").read_bytes() if order else b""
        loop = make(tmp_path, executor, sampler=sampler)
        with contextlib.suppress(Killed):
            loop.run()
        assert (tmp_path / "trials.jsonl").read_bytes().startswith(before)
        done, order = done + executor.done, order + 1
    assert order > TRIALS / 5
    check_whole(tmp_path)
    assert set(Counter(done).values()) == {1}  # whatever had ended was on the disk


def test_a_trial_that_goes_on_is_running_in_the_study(tmp_path):
    with pytest.raises(Killed):
        make(tmp_path, Shuffled(slots=3, ends=6)).run()
    under_way = Journal(tmp_path).under_way()
    assert under_way
    loop = make(tmp_path, Shuffled(ends=0))
    with pytest.raises(Killed):
        loop.run()
    running = loop.study._study.get_trials(states=[TrialState.RUNNING])
    assert [t.params for t in running[: len(under_way)]] == [t.params for t in under_way]


def test_a_state_that_was_left_behind_is_removed(tmp_path):
    make(tmp_path, Shuffled()).run()
    state = tmp_path / "state" / "3.safetensors"
    for path in (state, state.with_name("4.safetensors.part")):
        path.write_bytes(b"of a driver that died before it was removed")
    assert Journal(tmp_path).under_way() == []
    check_whole(tmp_path)


class Fragile(Shuffled):
    """Loses the worker of a trial's first job so often."""

    def __init__(self, losses: dict[int, int]) -> None:
        super().__init__()
        self.losses = losses

    def outcome(self, job: Job) -> Outcome:
        if self.losses.get(job.number, 0) > 0:
            self.losses[job.number] -= 1
            return Outcome(job.number, error="its worker was killed by SIGKILL", lost=True)
        return Outcome(job.number, trained(job))


def test_a_trial_whose_worker_is_lost_is_tried_again(tmp_path):
    spoken = Spoken()
    make(tmp_path, Fragile({0: 1, 5: ATTEMPTS - 1, 6: ATTEMPTS}), spoken).run()
    found = {trial.number: trial for trial in check_whole(tmp_path)}
    assert [found[n].retries for n in (0, 5, 6, 7)] == [1, 2, 2, 0]
    assert [trial.number for trial in found.values() if trial.state == FAILED] == [6]
    assert found[6].error == "its worker was killed by SIGKILL; 3 attempts"
    assert len(spoken.said) == 1 + 2 + 2
    assert spoken.said[0].endswith("begins again: its worker was killed by SIGKILL")


class Growing(Shuffled):
    """Has a second and a third slot after a while."""

    def next(self) -> Outcome | None:
        if len(self.done) == 4 and self.slots == 1:
            self.slots = 3
            return None
        return super().next()


def test_slots_that_are_added_are_used_at_once(tmp_path):
    executor = Growing(slots=1)
    make(tmp_path, executor).run()
    check_whole(tmp_path)
    assert executor.slots == 3


class Interrupting(Shuffled):
    """Somebody presses ctrl-C so often while the fifth job runs."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def next(self) -> Outcome | None:
        if len(self.done) == 4:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)
        return super().next()


def test_ctrl_c_lets_the_trials_under_way_end(tmp_path):
    spoken, executor = Spoken(), Interrupting(1)
    loop = make(tmp_path, executor, spoken, rungs=())
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert spoken.said == ["interrupted: finishing 3 trials under way; ctrl-C stops them too"]
    assert loop.journal.count == len(executor.done) == 4 + 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    make(tmp_path, Shuffled(), rungs=()).run()
    check_whole(tmp_path)


def test_ctrl_c_twice_stops_now(tmp_path):
    executor = Interrupting(2)
    loop = make(tmp_path, executor, rungs=())
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert loop.journal.count == len(executor.done) == 4
