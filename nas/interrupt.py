"""ctrl-C once: finish what is under way. ctrl-C twice: stop now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def patient(first: Callable[[], None]) -> Iterator[None]:
    """Within this context the first ctrl-C calls `first`, the second raises KeyboardInterrupt.

    Signals belong to the main thread and to a program that handles them itself: elsewhere, and
    where it does, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before is not signal.default_int_handler:
        yield
        return

    def handle(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        first()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
