"""Measurements exclude each other and trainings, across processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Timer

import pytest
from conftest import wait_for

from nas.latency import lock
from nas.latency.lock import FLOOR, GATE, alone, lock_path, together

pytestmark = pytest.mark.usefixtures("own_lock")
HOLD = """
import sys
from nas.latency import lock
with getattr(lock, sys.argv[1])():
    print("held", flush=True)
    sys.stdin.read()
"""

Holder = subprocess.Popen[str]


@pytest.fixture
def start() -> Iterator[Callable[[str], Holder]]:
    """Start a process that asks for `alone` or `together`, and holds it until its input ends."""
    with ExitStack() as stack:

        def run(name: str) -> Holder:
            pipe = subprocess.PIPE
            command = [sys.executable, "-c", HOLD, name]
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


def holds(process: Holder) -> bool:
    """Wait until it says that it holds what it asked for."""
    assert process.stdout is not None
    return process.stdout.readline() == "held\n"


def release(process: Holder) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def is_free(name: str, mode: int = fcntl.LOCK_EX) -> bool:
    """Whether a lock could be had now; it is not kept."""
    descriptor = os.open(lock_path(name), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_measurement_keeps_all_others_out(start, tmp_path):
    assert lock_path(GATE).parent == tmp_path
    measuring = start("alone")
    assert holds(measuring)
    assert not is_free(GATE) and not is_free(FLOOR, fcntl.LOCK_SH)
    release(measuring)
    assert is_free(GATE) and is_free(FLOOR)


def test_trainings_run_beside_each_other_and_keep_measurements_out(start):
    first, second = start("together"), start("together")
    assert holds(first) and holds(second)
    assert is_free(GATE) and not is_free(FLOOR)
    release(first)
    assert not is_free(FLOOR)
    release(second)
    with alone():
        pass


def test_a_measurement_waits_for_the_trainings_under_way_only(start):
    training = start("together")
    assert holds(training)
    measuring = start("alone")
    wait_for(lambda: not is_free(GATE), measuring)  # no later training comes in before it
    late = start("together")
    release(training)
    assert holds(measuring)
    release(measuring)
    assert holds(late)


@pytest.mark.parametrize("name", ["alone", "together"])
def test_the_lock_of_a_dead_process_is_free(start, name):
    holder = start(name)
    assert holds(holder)
    assert not is_free(FLOOR)
    os.kill(holder.pid, signal.SIGKILL)
    with alone():
        pass


def test_a_long_wait_says_why_once(start, monkeypatch, caplog):
    monkeypatch.setattr(lock, "PATIENCE", 0.01)
    lock._say_why.cache_clear()
    for _ in range(2):
        training = start("together")
        assert holds(training)
        Timer(0.1, training.stdin.close).start()
        with alone():
            pass
    assert caplog.messages == [
        "waiting for another process: nothing may be trained while a latency is measured"
    ]


def test_the_lock_follows_no_link(tmp_path):
    (tmp_path / "other").touch()
    lock_path(GATE).symlink_to(tmp_path / "other")
    with pytest.raises(OSError), alone():
        pass


def test_an_error_inside_releases():
    for context in (alone, together):
        with pytest.raises(ZeroDivisionError), context():
            raise ZeroDivisionError
    assert is_free(GATE) and is_free(FLOOR)
