"""One job at a time, in this process."""

from __future__ import annotations

from collections import deque

from nas.executors.base import Begun, Epoch, Job, Outcome, Watch, train


class Serial:
    """Trains when asked for the next outcome."""

    slots = 1

    def __init__(self, watch: Watch) -> None:
        self._jobs: deque[Job] = deque()
        self._watch = watch

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next(self) -> Outcome:
        return train(self._jobs.popleft(), self._hear)

    def close(self) -> None:
        self._jobs.clear()

    def _hear(self, said: Begun | Epoch) -> None:
        if isinstance(said, Epoch):
            self._watch(*said)
