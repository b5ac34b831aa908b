"""Trials in processes of this machine: the same results, whatever happens to the processes."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from conftest import QUICK, workers_of
from faulty import Seen, faulty  # noqa: F401 a fixture
from test_search import facts

from nas.errors import InputError
from nas.evaluate import Rung, Task, cached_data
from nas.executors import Begun, Epoch, Job, Outcome, train
from nas.executors.base import FULL_TORCH
from nas.executors.execution import Execution
from nas.executors.processes import Processes, Worker
from nas.latency.lock import alone
from nas.records import Result
from nas.space_file import load_space


def test_a_worker_that_is_killed_changes_no_result(quick, faulty, tmp_path):
    settings = {**faulty, "recipe": replace(QUICK["recipe"], epochs=2)}
    (tmp_path / "kill").touch()
    seen = Seen()
    execution = Execution(workers=2)
    run = quick(tmp_path / "run", **settings, progress=seen, execution=execution)
    alone = quick(tmp_path / "alone", **settings)
    assert sorted(facts(run)) == sorted(facts(alone))
    assert sorted(trial.retries for trial in run.records) == [0, 0, 0, 1]
    assert {trial.cpu for trial in run.records} == {alone.records[0].cpu}
    (said,) = seen.said
    reason = "its worker was killed by SIGKILL, as by a system that is out of memory"
    assert said.endswith(f" begins again: {reason}")
    assert {(number, epoch) for number in range(4) for epoch in (0, 1)} == set(seen.epochs)
    logs = {path.name: path.read_text() for path in (run.path / "logs").iterdir()}
    assert logs.keys() == {"workers.log", *(f"{number}.log" for number in range(4))}
    for text in ("about to kill", reason, "trial 3: epoch 2, loss "):
        assert text in "".join(logs.values())


@pytest.fixture
def job(faulty) -> Job:
    """One of that block."""
    task = Task("digits", None, cached_data("digits", None).id, QUICK["recipe"])
    return Job(7, load_space(faulty["space"]).minimise(lambda c: c.cost.macs).arch, task, 0, 1)


def test_a_trial_that_hangs_is_ended(job, tmp_path):
    """What its earlier rungs have taken counts too."""
    (tmp_path / "hang").touch()
    executor = Processes(1, tmp_path / "logs", lambda *_: None, timeout=60)
    rung = Rung(Result(0.5, 1.0, 100, (1.0,), ((1, 0.5),), seconds=59.8), b"its state")
    executor.submit(replace(job, before=rung, epochs=2))
    assert executor.next() == Outcome(7, error="it ran for more than 60 s", lost=True)
    executor.close()


def test_a_trial_that_waits_for_a_measurement_has_not_begun(job, own_lock):
    said = []
    training = Thread(target=train, args=(job, said.append))
    with alone():
        training.start()
        training.join(1)
        assert said == []
    training.join()
    assert [type(news) for news in said] == [Begun, Epoch]


def test_a_machine_without_memory_is_no_fault_of_a_network(job, tmp_path):
    executor = Processes(1, tmp_path / "logs", lambda *_: None)
    executor.submit(job)
    assert executor.next().rung
    (worker,) = workers_of(tmp_path)
    size = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.prlimit(worker, resource.RLIMIT_AS)
    resource.prlimit(worker, resource.RLIMIT_AS, (size + 2**24, hard))
    large = replace(job.task, recipe=replace(job.task.recipe, proxy_resolution=224))
    executor.submit(replace(job, task=large))
    outcome = executor.next()
    assert outcome.lost and any(words in outcome.error for words in FULL_TORCH)
    assert not workers_of(tmp_path)  # the next attempt has a fresh one
    executor.close()


def test_a_log_that_cannot_be_written_costs_no_trial(job, full_disk, tmp_path):
    executor = Processes(1, tmp_path / "logs", lambda *_: None)
    (tmp_path / "logs" / "7.log").mkdir()
    with full_disk(8):  # for the worker, which starts now
        executor.submit(job)
    assert executor.next().rung
    executor.submit(replace(job, number=8))
    assert executor.next().rung
    assert (tmp_path / "logs" / "8.log").stat().st_size <= 8
    executor.close()


def test_a_worker_ends_with_its_driver(job, tmp_path):
    """The system closes the driver's end of the pipe, whatever the driver dies of."""
    (tmp_path / "hang").touch()
    worker = Worker.start(tmp_path, 1)
    worker.pipe.send(job)
    while (tmp_path / "hang").exists():
        assert worker.process.poll() is None
    worker.pipe.close()
    assert worker.process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    {
        "both": ({"workers": 2, "ray": "local"}, "--workers: expected without --ray"),
        "none": ({"workers": 0}, "--workers: expected more than 0, got 0"),
        "timeout": ({"trial_timeout": 60}, "--trial-timeout: expected with --workers or --ray"),
        "gpus": ({"gpus_per_trial": 0.5}, "--gpus-per-trial: expected with --ray"),
        "most": ({"workers": 2, "max_concurrent": 3}, "--max-concurrent: expected with --ray"),
        "cpus": ({"cpus_per_trial": -1}, "--cpus-per-trial: expected more than 0, got -1"),
        "minus": ({"ray": "auto", "gpus_per_trial": -1}, "--gpus-per-trial: expected 0 or more"),
    }.values(),
    ids=["both", "none", "timeout", "gpus", "most", "cpus", "minus"],
)
def test_executions_that_make_no_sense(flags, message):
    with pytest.raises(InputError, match=message):
        Execution(**flags)
