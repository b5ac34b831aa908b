"""Records: a line is on the disk whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.records import (
    COMPLETE,
    FAILED,
    Result,
    Trial,
    append_line,
    locked,
    read_json,
    read_lines,
    read_trials,
    write_atomic,
    write_json,
)

TRIAL = Trial(
    number=0,
    id="0123456789ab",
    params={"stem.width": 8, "ρ": 4 / 7},
    arch={},
    cost={"macs": 5, "params": 3},
    state=COMPLETE,
    seed=1,
    result=Result(0.5, 1.25, 359, (2.0, 1.5), ((1, 0.25), (2, 0.5)), 0.1),
    latency={"latency_ms": 2.5},
    sampler={"NSGAIISampler:generation": 0},
)


def test_a_trial_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "trials.jsonl"
    trials = [TRIAL, replace(TRIAL, number=1, state=FAILED, result=None, error="Größe\n×")]
    for trial in trials:
        append_line(path, trial.to_json())
    assert read_trials(path) == trials
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("objective", "value"), [("accuracy", 0.5), ("latency", 2.5), ("macs", 5), ("params", 3)]
)
def test_the_value_of_an_objective(objective, value):
    assert TRIAL.value(objective) == value
    unknown = replace(TRIAL, result=None, latency=None)
    assert unknown.value(objective) == (value if objective in TRIAL.cost else None)


def test_no_line_holds_what_json_cannot(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(TRIAL, result=replace(TRIAL.result, cross_entropy=np.nan)).to_json()


# A disk that is full -----------------------------------------------------------------------------


def test_half_a_line_is_taken_back(tmp_path, full_disk):
    path = tmp_path / "lines.jsonl"
    append_line(path, '{"a": 1}')
    before = path.read_bytes()
    with full_disk(50_000), pytest.raises(OSError) as error:
        append_line(path, json.dumps({"long": "x" * 100_000}))
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
    append_line(path, '{"b": 2}')
    assert read_lines(path) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("write", [append_line, write_atomic])
def test_a_line_that_is_not_known_to_be_on_the_disk_is_taken_back(write, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, "before")
    before = path.read_bytes()

    def fsync(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError) as error:
        write(path, "after")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_file_is_written_or_the_old_one_kept(tmp_path, full_disk):
    path = tmp_path / "run.json"
    write_json(path, {"old": True})
    with full_disk(1000), pytest.raises(OSError):
        write_json(path, {"new": "x" * 5000})
    assert read_json(path) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


# Reading -----------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_has_no_lines(tmp_path):
    assert read_lines(tmp_path / "trials.jsonl", repair=True) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", ['{"b"', '{"b": 2}', "\x00\x00"])
@pytest.mark.parametrize("repair", [True, False])
def test_a_last_line_that_was_cut_is_left_out(cut, repair, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n' + cut)
    assert read_lines(path, repair=repair) == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n' + ("" if repair else cut)


@pytest.mark.parametrize("bad", [b"[1]", b"{", b"", b"\xff", b"null"])
def test_another_bad_line_is_named(bad, tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": 1}\n' + bad + b'\n{"b": 2}\n')
    with pytest.raises(InputError, match=r"lines\.jsonl: line 2: expected a JSON object"):
        read_lines(path, repair=True)


@pytest.mark.parametrize("change", [{"number": None}, {"extra": 1}, {"result": [1]}])
def test_a_line_that_is_no_trial_is_named(change, tmp_path):
    data = {**json.loads(TRIAL.to_json()), **change}
    data = {key: value for key, value in data.items() if value is not None}
    path = tmp_path / "trials.jsonl"
    path.write_text(TRIAL.to_json() + "\n" + json.dumps(data) + "\n")
    with pytest.raises(InputError, match=r"trials\.jsonl: line 2: not a trial"):
        read_trials(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"run\.json: No such file or directory; is .* a run\?"),
        ("{", r"run\.json: not JSON"),
        ("[]", r"run\.json: expected a JSON object, got \[\]"),
    ],
)
def test_a_bad_json_file_is_named(text, message, tmp_path):
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_json(path)


# The lock ----------------------------------------------------------------------------------------


def _hold(folder: Path, ready, done) -> None:
    with locked(folder):
        ready.set()
        done.wait()


def test_a_folder_is_held_by_one_process_and_let_go_when_it_dies(tmp_path):
    context = get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    ready.wait()
    with pytest.raises(InputError, match="another process is writing there"), locked(tmp_path):
        pass
    process.kill()
    process.join()
    with locked(tmp_path):
        pass
