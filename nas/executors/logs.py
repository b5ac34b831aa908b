"""The logs of trials that run in other processes: results/NAME/logs/NUMBER.log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

FORMAT = "%(asctime)s %(message)s"

log = logging.getLogger(__name__)


def log_file(folder: Path, number: int) -> Path:
    """Where the log of a trial is; numbers below zero are of published networks."""
    return folder / (f"{number}.log" if number >= 0 else f"baseline-{-number}.log")


def note(path: Path, text: str) -> None:
    """Append a line of the driver's to a log; where the disk is full, none."""
    with contextlib.suppress(OSError), path.open("a") as file:
        file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


def speak() -> None:
    """Let this process, a worker, say on stderr what it is doing."""
    logging.basicConfig(format=FORMAT)
    logging.getLogger("nas").setLevel(logging.INFO)


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Whatever this process prints goes to the end of a file meanwhile, what C code prints too.

    A log that cannot be written costs no trial: where there can be none, nothing is redirected.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        log.warning("no log of a trial: %s", error)
        yield
        return
    before = os.dup(1), os.dup(2)
    _redirect(file, file)
    try:
        yield
    finally:
        _redirect(*before)
        for descriptor in (*before, file):
            os.close(descriptor)


def _redirect(out: int, err: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the disk is full
            stream.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)
