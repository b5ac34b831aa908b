"""Whole searches by workers: interrupted, killed, and with what else a search may be asked for."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import RECIPE, wait_for, workers_of
from test_mirror import check_equal
from test_search import check_whole, facts, lines

import nas
from nas.executors.execution import Execution
from nas.journal import Journal

TWO = Execution(workers=2)
DEAF = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # which processes inherit


@pytest.mark.skipif(DEAF, reason="SIGINT is ignored, as in a background job of a shell")
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_ctrl_c_while_workers_start(times, spawn, quick_flags, tmp_path):
    """A terminal interrupts all processes of the driver's group."""
    run = tmp_path / "run"
    process = spawn("search", *quick_flags, "--trials", 500, "--workers", 2, "--out", run)
    wait_for(lambda: len(workers_of(run)) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    said = next(line for line in process.stderr if "interrupted" in line)
    assert "finishing 2 trials under way" in said
    if times == 2:
        os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130 and not workers_of(run)
    assert "begins again" not in rest and "Traceback" not in rest
    assert [trial.state for trial in nas.load(run).records] == ["complete"] * (4 - 2 * times)


def test_a_sweep_whose_driver_is_killed_goes_on_with_other_workers(spawn, quick_flags, tmp_path):
    run = tmp_path / "run"
    flags = [*quick_flags, "--epochs", 2, "--rungs", 1, "--trials", 500, "--workers", 2, "--quiet"]
    process = spawn("search", *flags, "--out", run)
    wait_for(lambda: len(lines(run)) >= 2, process)
    process.kill()
    process.wait()
    while workers_of(run):  # which end with their driver
        time.sleep(0.01)
    journal = Journal(run)  # drops a line that was cut
    done, passed = [t.number for t in journal.trials], [t.number for t in journal.under_way()]
    before, logs = (run / "trials.jsonl").read_bytes(), logs_of(run)
    total = len(done) + 4

    found = nas.resume(run, trials=total, execution=Execution(workers=3))
    check_whole(found, total)
    assert (run / "trials.jsonl").read_bytes().startswith(before)
    assert {number: logs_of(run)[number] for number in done} == {n: logs[n] for n in done}
    for number in passed:
        assert logs_of(run)[number].count("epoch 1,") == 1
    assert not list((run / "state").iterdir())


def logs_of(run: Path) -> dict[int, str]:
    """What the trials of a run have printed, by their numbers."""
    return {int(path.stem): path.read_text() for path in (run / "logs").glob("[0-9]*.log")}


# The same trials as in series, where those do not depend on what has ended before ----------------


def test_rungs_and_a_mirror(quick, tmp_path):
    settings = {"sampler": "random", "recipe": replace(RECIPE, epochs=2), "rungs": (1,)}
    mirror = str(tmp_path / "study.log")
    run = quick(tmp_path / "run", **settings, storage=mirror, execution=TWO)
    alone = quick(tmp_path / "alone", **settings)
    assert sorted(facts(run)) == facts(alone)
    check_equal(run, mirror)


def test_parts_of_a_shared_network(quick, tmp_path):
    alone = quick(tmp_path / "alone", sampler="random", proxy="shared", proxy_time=0.5)
    shutil.copytree(alone.path, tmp_path / "run")
    (tmp_path / "run" / "trials.jsonl").unlink()
    run = nas.resume(tmp_path / "run", execution=TWO)
    assert sorted(facts(run)) == facts(alone)
    assert all("begins: seed" in log for log in logs_of(run.path).values())


def test_time_ends_them_all(quick, tmp_path):
    """Those under way are finished, though workers take longer to start than there is time."""
    run = quick(tmp_path / "run", sampler="random", trials=50, time=1.0, execution=TWO)
    check_whole(run, len(run.records))
    assert len(run.records) <= 2
    alone = quick(tmp_path / "alone", sampler="random", trials=2)
    assert sorted(facts(run)) == facts(alone)[: len(run.records)]
