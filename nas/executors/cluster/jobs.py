"""Jobs as tasks of Ray, which report as they go.

A task is a generator: it yields that a worker has it, that it begins, every epoch, its outcome. Ray
repeats nothing by itself, so that every attempt is counted; a lost worker or node is an outcome
too. Images, a shared network and the states of rungs are in Ray's store; a job itself is small.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import inf
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError

from nas.data import Data
from nas.errors import ClusterError
from nas.evaluate import GIVEN, Rung, Task
from nas.executors.base import Begun, Epoch, Job, Outcome, Say, Watch, train
from nas.executors.cluster.nodes import GLANCE, Head, Needs, first_line, nodes
from nas.executors.execution import Execution
from nas.executors.logs import log_file, note, speak, written_to
from nas.shared import checkpoint

TAIL = 2**16  # bytes of a log that are brought back
REASONS = {  # of Ray's errors, which have a page for each
    "WorkerCrashedError": "its worker died",
    "NodeDiedError": "its node was lost",
    "OutOfMemoryError": "its worker was killed, as its node was out of memory",
}
Do: TypeAlias = Callable[[Job, Say], Outcome]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """References to what all jobs need, which a worker follows once: images, and a shared network
    where there is one."""

    data: Any
    shared: Any = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A worker has taken the job; `torch` is the version that its node has."""

    torch: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A job has ended; `log` is what it has printed."""

    outcome: Outcome
    log: bytes


@dataclass(slots=True)
class Busy:
    """A trial's job under way, which is late after `deadline` on the monotonic clock.

    `limit`: the seconds that the trial may train for, of which it has `spent` some before.
    """

    number: int
    limit: float
    spent: float
    deadline: float = inf


class RayJobs:
    """As many jobs at once as the cluster has room for, or as `max_concurrent` says.

    With `max_concurrent` jobs may wait for room, so that a cluster that grows on demand sees the
    demand. `task` is that of the trials; a job with another one, as a confirmation, may need more,
    and waits for it. `logs` is the folder of the trials' logs, `do` what a job is. Raises
    ClusterError where the cluster's head is lost, or its store is full.
    """

    def __init__(
        self,
        execution: Execution,
        task: Task,
        data: Data,
        logs: Path,
        watch: Watch,
        do: Do = train,
    ) -> None:
        self._execution, self._logs, self._watch = execution, logs, watch
        self._needs, self._head = self._needs_of(task), Head()
        shared = task.shared and _put(checkpoint.pack(task.shared))
        self._stored = Stored(_put(replace(data, test=None)), shared)
        self._do = _put(do)
        self._run: Any = ray.remote(max_retries=0)(run)
        self._busy: dict[Any, Busy] = {}
        self._room, self._looked = 1, -inf
        self._torches = {torch_version()}
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def slots(self) -> int:
        self._look()  # at least one, to wait for better days
        return self._execution.max_concurrent or max(1, self._room)

    def submit(self, job: Job) -> None:
        state = None
        if job.before and job.before.state:
            state = _put(job.before.state)
            job = replace(job, before=job.before._replace(state=None))
        needs = self._needs_of(job.task)
        task = self._run.options(num_cpus=needs.cpus, num_gpus=needs.gpus)
        stream = task.remote(job, state, self._stored, self._do)
        limit = (self._execution.trial_timeout or inf) * job.patience
        self._busy[stream] = Busy(job.number, limit, job.spent)

    def next(self) -> Outcome | None:
        slots = self.slots
        while self.slots <= slots:
            ready, _ = ray.wait(list(self._busy), timeout=GLANCE)
            for stream in ready:
                if outcome := self._heard(stream):
                    return outcome
            if outcome := self._late():
                return outcome
        return None

    def close(self) -> None:
        for stream in self._busy:
            ray.cancel(stream, force=True)
        self._busy.clear()

    def _needs_of(self, task: Task) -> Needs:
        return Needs.of(self._execution, trained=task.at_once is None)

    def _look(self) -> None:
        """See once a glance how many trials all nodes together have room for, and tell of none."""
        if time.monotonic() - self._looked < GLANCE:
            return
        self._looked = time.monotonic()
        if self._head.answers():
            found = nodes()
            before, self._room = self._room, sum(map(self._needs.room, found))
            if before and not self._room:
                log.warning("waiting for a node with %s", self._needs.unmet(found))

    def _heard(self, stream: Any) -> Outcome | None:
        """What a task has to say: it has begun, an epoch or all has ended, or it is lost."""
        busy = self._busy[stream]
        try:
            said = ray.get(next(stream))
        except (StopIteration, RayError) as error:
            return self._lost(stream, _reason(error))
        if isinstance(said, Taken):
            self._compare(said.torch)
        elif isinstance(said, Begun):
            busy.deadline = time.monotonic() + busy.limit - busy.spent
        elif isinstance(said, Ended):
            del self._busy[stream]
            _append(log_file(self._logs, busy.number), said.log)
            return said.outcome
        else:
            self._watch(*said)
        return None

    def _compare(self, torch: str) -> None:
        """Tell once of each version of torch that is not the driver's."""
        if torch not in self._torches:
            self._torches.add(torch)
            log.warning(
                "a node has torch %s, this one %s: expected the same, for comparable accuracies",
                torch,
                torch_version(),
            )

    def _late(self) -> Outcome | None:
        """One that is late; what has something to say may have ended meanwhile."""
        for stream, busy in self._busy.items():
            late = time.monotonic() >= busy.deadline
            if late and not ray.wait([stream], timeout=0)[0]:
                ray.cancel(stream, force=True)
                return self._lost(stream, f"it ran for more than {busy.limit:g} s")
        return None

    def _lost(self, stream: Any, reason: str) -> Outcome:
        number = self._busy.pop(stream).number
        note(log_file(self._logs, number), reason)
        return Outcome(number, error=reason, lost=True)


def run(job: Job, state: bytes | None, stored: Stored, do: Do) -> Iterator[Any]:
    """The task: a worker says that it has it, that it begins, every epoch, how it ended."""
    yield Taken(torch_version())
    _take(job.task, stored)
    if job.before:
        job = replace(job, before=Rung(job.before.result, state))
    said: SimpleQueue[Begun | Epoch | None] = SimpleQueue()
    speak()
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        path = Path(folder) / "log"
        with written_to(path):
            ended = pool.submit(do, job, said.put)
            ended.add_done_callback(lambda _: said.put(None))
            while (news := said.get()) is not None:
                yield news
        yield Ended(ended.result(), path.read_bytes()[-TAIL:] if path.exists() else b"")


def _take(task: Task, stored: Stored) -> None:
    """Let this worker use what is in the store, whatever is on its machine's disk."""
    name = task.data, task.data_dir
    if name not in GIVEN:
        GIVEN[name] = ray.get(stored.data)
    if task.shared and task.shared.id not in checkpoint.GIVEN:
        checkpoint.give(task.shared, ray.get(stored.shared))


def _put(value: Any) -> Any:
    """A reference to a value in the store; raises ClusterError where it is full."""
    try:
        return ray.put(value)
    except (ObjectStoreFullError, OutOfDiskError) as error:
        raise ClusterError(f"Ray's object store is full ({first_line(error)})") from None


def torch_version() -> str:
    """That of this process, without what it was built for: 2.13.0 of 2.13.0+cpu."""
    return version("torch").partition("+")[0]


def _reason(error: BaseException) -> str:
    """Why a task was lost, in one line."""
    error = getattr(error, "cause", None) or error  # what was raised there
    name = type(error).__name__
    return REASONS.get(name) or f"its worker was lost: {name}: {first_line(error)}"


def _append(path: Path, text: bytes) -> None:
    """Where the disk is full, nothing."""
    if text:
        with suppress(OSError), path.open("ab") as file:
            file.write(text)
