"""Trials in processes of this machine: the same results, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import QUICK, wait_for
from faulty import Seen, faulty  # noqa: F401 a fixture
from test_search import facts

import nas
from nas.errors import InputError
from nas.evaluate import Task, cached_data
from nas.executors import Job, Outcome
from nas.executors.execution import Execution
from nas.executors.processes import Processes, Worker
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


def test_a_job_that_hangs_is_ended(job, tmp_path):
    (tmp_path / "hang").touch()
    executor = Processes(1, tmp_path / "logs", lambda *_: None, timeout=0.2)
    executor.submit(job)
    assert executor.next() == Outcome(7, error="it ran for more than 0.2 s", lost=True)
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


def test_ctrl_c_on_a_terminal_lets_the_workers_finish(quick_flags, tmp_path):
    """A terminal interrupts all of its processes."""
    run = tmp_path / "run"
    flags = ["--trials", "500", "--workers", "2", "--out", str(run)]
    command = [sys.executable, "-m", "nas.cli", "search", *quick_flags, *flags]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    wait_for(lambda: (run / "trials.jsonl").exists(), process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: finishing " in err and "Traceback" not in err
    found = nas.load(run)
    assert sorted(trial.number for trial in found.records) == list(range(len(found.records)))
    assert {trial.state for trial in found.records} == {"complete"}


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
