"""One measurement at a time on a machine, whichever process asks for it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lock_path() -> Path:
    """The file that a measuring process holds locked; every user has one."""
    return Path(tempfile.gettempdir()) / f"nas-latency-{os.getuid()}.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process or thread measures, and keep them waiting meanwhile.

    The system releases the lock of a process that dies. Not reentrant: a second `alone` in one
    thread waits for ever. On Windows, which has no flock, nothing is held.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    # Whoever may write to the temporary folder must not lead us to another file by a link.
    descriptor = os.open(lock_path(), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # for a child forked meanwhile too
        os.close(descriptor)
