"""Nothing else of this package runs on the machine while a latency is measured.

Measurements exclude each other and trainings; trainings run beside each other. So a training
takes a shared lock, a measurement an exclusive one, whichever process it is in. A shared lock
alone would let a stream of trainings keep a measurement out for ever. Therefore everyone passes
a gate first, which a measurement holds shut: it waits for the trainings under way, not for
those that come after it. Nobody who is inside waits at the gate, so nothing can deadlock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from threading import Timer

PATIENCE = 5.0  # seconds of waiting before the reason is told
GATE, FLOOR = "gate", "floor"


def lock_path(name: str) -> Path:
    """The file of the lock `name`, GATE or FLOOR; every user has their own."""
    return Path(tempfile.gettempdir()) / f"nas-latency-{os.getuid()}.{name}.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process or thread measures or trains, and keep them waiting meanwhile.

    The system releases the locks of a process that dies. Not reentrant, nor for use within
    `together`: it would wait for itself.
    """
    with _held(GATE, fcntl.LOCK_EX), _held(FLOOR, fcntl.LOCK_EX):
        yield


@contextmanager
def together() -> Iterator[None]:
    """Wait until nobody measures, and keep measurements waiting meanwhile.

    Not reentrant either; what runs inside must not wait for somebody who measures.
    """
    with ExitStack() as stack:
        with _held(GATE, fcntl.LOCK_EX):
            stack.enter_context(_held(FLOOR, fcntl.LOCK_SH))
        yield


@contextmanager
def _held(name: str, mode: int) -> Iterator[None]:
    # Whoever may write to the temporary folder must not lead us to another file by a link.
    descriptor = os.open(lock_path(name), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        _wait(descriptor, mode)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # for a child forked meanwhile too
        os.close(descriptor)


def _wait(descriptor: int, mode: int) -> None:
    reason = Timer(PATIENCE, _say_why)
    reason.daemon = True
    reason.start()
    try:
        fcntl.flock(descriptor, mode)
    finally:
        reason.cancel()


@cache  # once a process: a search may wait before each trial
def _say_why() -> None:
    logging.getLogger(__name__).warning(
        "waiting for another process: nothing may be trained while a latency is measured"
    )
