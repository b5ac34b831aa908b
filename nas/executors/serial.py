"""One job at a time, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from nas.executors.base import Job, Outcome, train


class Serial:
    """Trains when asked for the next outcome."""

    slots = 1

    def __init__(self, on_epoch: Callable[[int, float], None]) -> None:
        self._jobs: deque[Job] = deque()
        self._on_epoch = on_epoch

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next(self) -> Outcome:
        return train(self._jobs.popleft(), self._on_epoch)

    def close(self) -> None:
        self._jobs.clear()
