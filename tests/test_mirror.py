"""The mirror: real storages, PostgreSQL's a real server, and storages that break."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from conftest import Spoken, wait_for
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from postgres import Postgres, running

import nas
from nas import mirror, storage
from nas.driver import resume
from nas.errors import InputError
from nas.mirror import Mirror
from nas.progress import Facts
from nas.records import COMPLETE, FAILED, STOPPED, Trial, read_trials
from nas.settings import Settings
from nas.space_file import load_space
from nas.storage import close_storage, open_storage, public, resolve

BUDGET = "10M-flops"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "journal", "postgres"])
def url(request, tmp_path) -> str:
    """An empty storage of each kind."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres").url("any")
    return {"sqlite": f"sqlite:///{tmp_path}/study.db", "journal": f"{tmp_path}/study.log"}[
        request.param
    ]


@contextmanager
def opened(url: str) -> Iterator[BaseStorage]:
    found = open_storage(resolve(url))
    try:
        yield found
    finally:
        close_storage(found)


def mirrored(run: nas.Run, url: str) -> dict[int, optuna.trial.FrozenTrial]:
    """What the mirror of a run holds, by our numbers; none of them twice."""
    with opened(url) as found:
        name = run.info["mirror"]["study"]
        trials = optuna.load_study(study_name=name, storage=found).get_trials()
    found = {trial.user_attrs["number"]: trial for trial in trials}
    assert len(found) == len(trials)
    return found


def check_equal(run: nas.Run, url: str) -> None:
    """All trials of a run are in its mirror, once, with params and values."""
    found = mirrored(run, url)
    assert set(found) == {trial.number for trial in run.records}
    for trial in run.records:
        assert found[trial.number].params == trial.params
        assert found[trial.number].values == [trial.value(name) for name in run.objectives]


# What a mirror holds -----------------------------------------------------------------------------


def all_kinds(finished: nas.Run) -> list[Trial]:
    """Real trials, of which some are made to have stopped, failed or come from elsewhere."""
    whole, stopped, failed, foreign = finished.records[:4]
    timed = {"latency_ms": 3.5, "source": "estimated"}
    return [
        replace(whole, latency=timed),
        replace(stopped, state=STOPPED),
        replace(failed, state=FAILED, result=None, error="Diverged: the loss is nan"),
        replace(foreign, params={"stem.width": 12}, source="results/old:7"),
    ]


def test_every_trial_has_its_params_values_constraints_and_state(url, finished, tmp_path):
    trials, name = all_kinds(finished), f"run of {tmp_path}"
    settings = replace(Settings.from_dict(finished.info["settings"]), budget=(BUDGET,))
    spoken = Spoken()
    found = Mirror(resolve(url), name, settings, load_space("tiny"), spoken.say)
    facts = Facts("run", "tiny", settings, "", {}, 0.0)
    found.start(facts, trials[:1])
    for trial in trials[1:]:
        found.trial(trial, trials)
    found.stop()
    assert spoken.said == []

    with opened(url) as kept:
        check_study(optuna.load_study(study_name=name, storage=kept), trials)


def check_study(study: optuna.Study, trials: list[Trial]) -> None:
    assert study.metric_names == ["accuracy", "macs"]
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE]
    for trial, state, found in zip(trials, states, study.get_trials(), strict=True):
        assert found.state == state
        assert found.params == ({} if trial.source else trial.params)
        values = [trial.value(name) for name in ("accuracy", "macs")]
        assert found.values == (None if trial.state == FAILED else values)
        assert found.constraints == {"macs": pytest.approx(trial.cost["macs"] / 10e6 - 1)}
        assert found.user_attrs.items() >= {"id": trial.id, **trial.cost}.items()
        assert found.duration.total_seconds() == pytest.approx(trial.seconds, abs=0.01)
    whole, _, failed, foreign = (trial.user_attrs for trial in study.get_trials())
    assert (whole["latency_ms"], whole["latency_source"]) == (3.5, "estimated")
    assert failed["error"] == "Diverged: the loss is nan"
    assert foreign["source"] == "results/old:7"


def test_a_search_and_its_resume_have_one_mirror(url, quick, tmp_path):
    run = quick(tmp_path / "run", trials=2, storage=url)
    check_equal(run, url)
    study = run.info["mirror"]["study"]
    assert study == f"run {run.info['started']}"
    with opened(url) as found:
        optuna.delete_study(study_name=study, storage=found)
    again = resume(run.path, trials=3)  # knows the storage, and adds what it lacks
    assert len(again.records) == 3
    check_equal(again, url)


def test_a_run_may_get_a_mirror_later_and_be_moved(finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    url = f"sqlite:///{tmp_path}/study.db"
    check_equal(resume(tmp_path / "run", storage=url), url)
    (tmp_path / "run").rename(tmp_path / "moved")
    check_equal(resume(tmp_path / "moved"), url)


# Passwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "postgresql://me:secret@host:5432/db": "postgresql://me@host:5432/db",
        "--storage=postgresql://me:se@c:r/et@host/db": "--storage=postgresql://me@host/db",
        "mysql://host/db?password=secret&ssl=1": "mysql://host/db?ssl=1",
        "postgresql://me@host:5432/db": "postgresql://me@host:5432/db",
        "sqlite:////tmp/study.db": "sqlite:////tmp/study.db",
    }.items(),
    ids=lambda text: text.partition(":")[0],
)
def test_passwords_are_left_out(text, expected):
    assert public(text) == expected


def test_a_password_is_written_nowhere(postgres, quick_flags, cli, tmp_path, monkeypatch):
    flags = ["--trials", "1", "--storage", postgres.url("gehe1m"), "--out", str(tmp_path / "run")]
    command = ["search", *quick_flags, *flags]
    monkeypatch.setattr(sys, "argv", ["nas", *command])
    found = cli(*command)
    assert found.code == 0
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in files if b"gehe1m" in path.read_bytes()]
    assert "gehe1m" not in found.out + found.err
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert info["mirror"]["storage"] == postgres.url().replace("postgresql:", "postgresql+psycopg:")


# Storages that cannot be opened ------------------------------------------------------------------

BAD = {
    "study": "--storage 'study': expected sqlite:///study.db, postgresql://user@host/database or",
    "sqlite://": "--storage 'sqlite://': expected a file, as sqlite:///study.db",
    "sqlite:///no/where.db": "there is no folder",
    "no/where.log": "there is no folder",
    "other.log": "--storage {here}/other.log: expected an Optuna journal, or no file yet",
    "sqlite:///other.log": "--storage sqlite:///{here}/other.log: file is not a database",
    "nothing://me:gehe1m@host/db": "--storage 'nothing://me@host/db': expected sqlite:///study.db",
    "postgresql://me:gehe1m@host:port/db": "--storage 'postgresql://me@host:port/db': expected",
    "oracle+oracledb://me:gehe1m@host/db": "the package oracledb is missing; install it",
}


@pytest.mark.parametrize(("url", "reason"), BAD.items(), ids=BAD)
def test_a_bad_storage_is_one_sentence_before_anything_is_written(url, reason, quick_flags, cli):
    here = Path.cwd()
    (here / "other.log").write_text("This is no journal.\nIt is a diary.\n")
    found = cli("search", *quick_flags, "--quiet", "--storage", url)
    assert (found.code, found.out) == (2, "")
    assert reason.format(here=here) in found.err and found.err.count("\n") == 1
    assert "gehe1m" not in found.err
    assert [path.name for path in here.iterdir()] == ["other.log"]


def test_a_server_that_is_not_there(quick_flags, cli):
    pytest.importorskip("psycopg")
    url = "postgresql://me:gehe1m@127.0.0.1:1/db"
    found = cli("search", *quick_flags, "--quiet", "--storage", url)
    assert found.code == 2
    assert found.err.startswith("nas: --storage postgresql+psycopg://me@127.0.0.1:1/db: ")
    assert "refused" in found.err and "gehe1m" not in found.err and found.err.count("\n") == 1
    assert not (Path.cwd() / "results").exists()


def test_without_the_driver_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"psycopg is missing; pip install 'nas-explorer\[postg"):
        open_storage(resolve("postgresql://me@127.0.0.1:1/db"))


def test_a_mirror_that_is_gone_does_not_keep_a_run_from_going_on(quick, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    run = quick(tmp_path / "run", trials=1, storage=str(folder / "study.log"))
    folder.rename(tmp_path / "unmounted")
    spoken = Spoken()
    assert len(resume(run.path, trials=2, progress=spoken).records) == 2
    assert [s for s in spoken.said if "the search goes on without this mirror" in s]
    (tmp_path / "unmounted").rename(folder)
    check_equal(resume(run.path), str(folder / "study.log"))
    with pytest.raises(InputError, match="there is no folder"):  # asked for just now
        resume(run.path, storage=f"sqlite:///{tmp_path}/none/study.db")


# Storages that break while a search runs ---------------------------------------------------------


class Breaks(Spoken):
    """Breaks the mirror as the third trial begins, when two are mirrored."""

    def __init__(self, run: Path, url: str, how: Callable[[], None]) -> None:
        super().__init__()
        self.run, self.url, self.how = run, url, how

    def begin(self, trial: Trial, epochs: int) -> None:
        if trial.number == 2:
            while len(mirrored(nas.load(self.run), self.url)) < 2:
                time.sleep(0.01)
            self.how()


@pytest.fixture
def broken(quick, tmp_path, monkeypatch) -> Callable[..., Breaks]:
    """Search five trials while the mirror breaks; what was told."""

    def search(url: str, how: Callable[[], None]) -> Breaks:
        spoken, shown = Breaks(tmp_path / "run", url, how), public(resolve(url))
        with monkeypatch.context() as patch:
            patch.setattr(mirror, "GRACE", 0.5)
            run = quick(tmp_path / "run", trials=5, storage=url, progress=spoken)
        assert [trial.state for trial in run.records] == [COMPLETE] * 5
        assert [said for said in spoken.said if f"{shown} lacks 3 of 5 trials" in said]
        for thread in threading.enumerate():
            if thread.name == "mirror":  # still trying; a process would end without it
                thread.join()
        return spoken

    return search


def test_a_folder_that_vanishes(broken, tmp_path):
    folder, away = tmp_path / "disk", tmp_path / "unmounted"
    folder.mkdir()
    url = str(folder / "study.log")
    spoken = broken(url, lambda: folder.rename(away))
    assert len([said for said in spoken.said if f"{url} fails: " in said]) == 1
    away.rename(folder)
    check_equal(resume(tmp_path / "run"), url)


def test_a_database_that_somebody_locks(broken, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PATIENCE", 0.1)
    path = tmp_path / "study.db"
    locked: list[sqlite3.Connection] = []

    def lock() -> None:
        locked.append(sqlite3.connect(path, isolation_level=None))
        locked[0].execute("BEGIN EXCLUSIVE")

    broken(f"sqlite:///{path}", lock)
    locked[0].close()
    check_equal(resume(tmp_path / "run"), f"sqlite:///{path}")


def test_a_server_that_dies(broken, postgres, tmp_path):
    try:
        broken(postgres.url(), postgres.stop)
    finally:
        postgres.start()
    check_equal(resume(tmp_path / "run"), postgres.url())


def test_a_server_that_comes_back_is_caught_up_with(monkeypatch, postgres, quick, tmp_path):
    def restart() -> None:
        postgres.stop()
        postgres.start()

    monkeypatch.setattr(mirror, "PAUSE", 0.2)
    breaks = Breaks(tmp_path / "run", postgres.url(), restart)
    run = quick(tmp_path / "run", trials=5, storage=postgres.url(), progress=breaks)
    check_equal(run, postgres.url())


def test_a_killed_search_loses_nothing_of_its_mirror(spawn, quick_flags, tmp_path):
    url, out = f"sqlite:///{tmp_path}/study.db", tmp_path / "run"
    flags = ["--trials", 50, "--quiet", "--out", out, "--storage", url]
    process = spawn("search", *quick_flags, *flags)
    wait_for(lambda: len(read_trials(out / "trials.jsonl")) >= 2, process)
    process.kill()
    process.wait()
    done = len(nas.load(out).records)
    check_equal(resume(out, trials=done), url)
