"""A job, what comes of it, and what an executor of jobs must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nas.arch import Architecture
from nas.evaluate import Rung, Task, climb


@dataclass(frozen=True, slots=True)
class Job:
    """Train one network up to so many epochs, from the rung before; `number` is its trial's."""

    number: int
    arch: Architecture
    task: Task
    seed: int
    epochs: int
    before: Rung | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rung that a job reached, or why it failed."""

    number: int
    rung: Rung | None = None
    error: str | None = None


class Executor(Protocol):
    """Runs jobs, `slots` at a time."""

    @property
    def slots(self) -> int: ...

    def submit(self, job: Job) -> None:
        """Take a job; returns at once."""
        ...

    def next(self) -> Outcome:
        """Wait for the next job that ends, in whatever order."""
        ...

    def close(self) -> None:
        """Give up what is still running."""
        ...


def train(job: Job, on_epoch: Callable[[int, float], None] | None = None) -> Outcome:
    """Do a job here; whatever a network raises is its outcome."""
    try:
        rung = climb(job.arch, job.task, job.seed, job.epochs, job.before, on_epoch)
    except Exception as error:  # one bad network must not end a search
        return Outcome(job.number, error=f"{type(error).__name__}: {error}")
    return Outcome(job.number, rung)
