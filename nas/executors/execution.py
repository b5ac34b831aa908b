"""Where the trials of a session are trained, and how many at once. No record depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nas.data import Data
from nas.errors import InputError
from nas.evaluate import Task
from nas.executors.base import Executor, Watch
from nas.executors.processes import Processes
from nas.executors.serial import Serial
from nas.settings import Settings, check_device

if TYPE_CHECKING:
    from nas.executors.cluster import Elsewhere

Make: TypeAlias = Callable[[Task, Data, Path, Watch], Executor]  # the path is of the trials' logs
FLAGS_OF_RAY = ("gpus_per_trial", "max_concurrent", "latency_resource")


@dataclass(frozen=True, slots=True)
class Execution:
    """What a person says of it: in this process where neither `workers` nor `ray` is given.

    `workers`: processes on this machine; `ray`: auto, local or the address of a cluster;
    `cpus_per_trial`, `gpus_per_trial`: what Ray keeps for each, fractions too, the GPUs only where
    it is trained; the former are the threads of torch as well that a new search has, which stay
    those of its recipe; `max_concurrent`: trials at once, by default as many as the cluster has
    room for; `trial_timeout`: seconds of training, all rungs together, after which a trial is taken
    for hung; `latency_resource`: the Ray resource of the nodes on which latencies are measured.
    """

    workers: int | None = None
    ray: str | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    max_concurrent: int | None = None
    trial_timeout: float | None = None
    latency_resource: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.ray is not None:
            raise InputError("--workers: expected without --ray, which has workers of its own")
        for name in FLAGS_OF_RAY:
            if self.ray is None and getattr(self, name) is not None:
                raise InputError(f"{_flag(name)}: expected with --ray")
        if self.trial_timeout is not None and self.workers is None and self.ray is None:
            raise InputError(
                "--trial-timeout: expected with --workers or --ray; a training in this process "
                "cannot be ended"
            )
        for name in ("workers", "max_concurrent", "cpus_per_trial", "trial_timeout"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{_flag(name)}: expected more than 0, got {value:g}")
        if self.gpus_per_trial is not None and not self.gpus_per_trial >= 0:
            raise InputError(f"--gpus-per-trial: expected 0 or more, got {self.gpus_per_trial:g}")

    @property
    def parallel(self) -> bool:
        """Whether trials may run beside each other, so that nothing can be timed meanwhile."""
        return self.ray is not None or (self.workers or 1) > 1

    def suited(self, settings: Settings) -> Execution:
        """With what a trial of these settings needs, where nothing else is said.

        Raises InputError where they need a GPU that is not here.
        """
        cuda = settings.device == "cuda"
        check_device(settings.device, here=self.ray is None or settings.shares_weights)
        cpus, gpus = self.cpus_per_trial, self.gpus_per_trial
        if cuda and self.ray is not None and gpus is None:
            gpus = 1
        return replace(self, cpus_per_trial=cpus or settings.recipe.threads, gpus_per_trial=gpus)

    @property
    def threads(self) -> int | None:
        """Threads of torch for a trial, where its CPUs are given."""
        return None if self.cpus_per_trial is None else max(1, int(self.cpus_per_trial))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session runs: what makes its executor, and what times networks on another machine."""

    execution: Execution
    make: Make
    elsewhere: Elsewhere | None = None


@contextmanager
def opened(execution: Execution, blocks: Sequence[str]) -> Iterator[Place]:
    """Connect to where trials are to run; `blocks` are modules that they need there.

    Raises InputError where it cannot be reached, or has no room for a trial.
    """
    if execution.ray is None:
        yield Place(execution, lambda *args: _here(execution, *args))
        return
    from nas.executors.cluster import Elsewhere, RayJobs, connected

    with connected(execution, blocks):
        name = execution.latency_resource
        yield Place(
            execution,
            lambda *args: RayJobs(execution, *args),
            None if name is None else Elsewhere(name, blocks),
        )


def _here(execution: Execution, task: Task, data: Data, logs: Path, watch: Watch) -> Executor:
    if execution.workers is None:
        return Serial(watch)
    threads = task.recipe.threads
    return Processes(execution.workers, logs, watch, execution.trial_timeout, threads)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
