"""A job, what comes of it, and what an executor of jobs must do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch

from nas.arch import Architecture
from nas.evaluate import Rung, Task, climb
from nas.graph import Graph
from nas.latency.measurement import cpu_name

Watch: TypeAlias = Callable[[int, int, float], None]  # a trial's number, its epoch, its loss
FULL = (OSError, MemoryError, torch.OutOfMemoryError)  # a machine's fault, not a network's
FULL_TORCH = (  # what other errors of torch say then, which have no class of their own
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "std::bad_alloc",
    "could not create a primitive",  # oneDNN, where there is no memory for its compiled code
)
ATTEMPTS = 3  # at a job whose workers are lost

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Train one network up to so many epochs, from the rung before.

    `number` is its trial's, or below zero where it is none; `patience`: how many times the timeout
    of a trial it may take.
    """

    number: int
    network: Architecture | Graph
    task: Task
    seed: int
    epochs: int
    before: Rung | None = None
    patience: float = 1.0

    @property
    def spent(self) -> float:
        """Seconds that the trial has trained for already, up to the rung before."""
        return self.before.result.seconds if self.before else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rung that a job reached, or why it failed.

    `lost`: the worker or its machine is to blame, so that another attempt may succeed. `cpu`: the
    processor of the machine that did the job, where that is known.
    """

    number: int
    rung: Rung | None = None
    error: str | None = None
    lost: bool = False
    cpu: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What is said first of a job: it waits for nothing any more, so from now its time counts."""


class Epoch(NamedTuple):
    """What is said of a job when an epoch, counted from 0, ends with this mean loss."""

    number: int
    epoch: int
    loss: float


Say: TypeAlias = Callable[[Begun | Epoch], object]


class Executor(Protocol):
    """Runs jobs, `slots` at a time.

    No single job can be called off, as nobody would: a trial under way is worth finishing, and one
    that hangs is ended by the executor itself. Where a search stops, it stops all of them.
    """

    @property
    def slots(self) -> int:
        """How many jobs may be under way now; may change."""
        ...

    def submit(self, job: Job) -> None:
        """Take a job; returns at once."""
        ...

    def next(self) -> Outcome | None:
        """Wait for the next job that ends, in whatever order; None where slots were added."""
        ...

    def close(self) -> None:
        """Give up what is still running."""
        ...


def train(job: Job, say: Say) -> Outcome:
    """Do a job here; whatever a network raises is its outcome. The log has the traceback."""

    def on_begin() -> None:
        log.info("trial %d begins: seed %d, up to epoch %d", job.number, job.seed, job.epochs)
        say(Begun())

    def on_epoch(epoch: int, loss: float) -> None:
        log.info("trial %d: epoch %d, loss %.4g", job.number, epoch + 1, loss)
        say(Epoch(job.number, epoch, loss))

    try:
        rung = climb(job.network, job.task, job.seed, job.epochs, job.before, on_epoch, on_begin)
    except Exception as error:  # one bad network must not end a search
        log.info("trial %d failed", job.number, exc_info=True)
        reason = f"{type(error).__name__}: {error}"
        return Outcome(job.number, None, reason, _is_full(error), cpu_name())
    return Outcome(job.number, rung, cpu=cpu_name())


def _is_full(error: Exception) -> bool:
    """Whether the machine had no memory or no disk left."""
    words = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, FULL) or any(known in words for known in FULL_TORCH)
