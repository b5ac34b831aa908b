"""Jobs in processes of this machine, which may crash, hang or be killed without harm to a search.

A worker is a fresh interpreter and no fork: torch's threads do not survive one, and a program that
calls `nas.search` needs no `if __name__ == "__main__"`. Driver and worker speak through a pipe; its
end is how each of them learns that the other one is gone. A terminal's ctrl-C reaches the driver
alone, which decides what becomes of the workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from math import inf
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from nas.executors.base import Begun, Job, Outcome, Watch
from nas.executors.logs import log_file, note


@dataclass(frozen=True, slots=True)
class Worker:
    """A process, and the driver's end of the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    @classmethod
    def start(cls, logs: Path, threads: int) -> Worker:
        """It imports what this process can import, from the same places."""
        ours, theirs = Pipe()
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        with theirs, (logs / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nas.executors.worker", f"{theirs.fileno()}", logs],
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # of its own, which a terminal does not interrupt
            )
        return cls(process, ours)

    def stop(self) -> int:
        """Kill it if it still runs; its exit status, minus the signal where one has killed it."""
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


@dataclass(slots=True)
class Busy:
    """A worker with a trial's job, which is late after `deadline` on the monotonic clock.

    `limit`: the seconds that the trial may train for, of which it has `spent` some before.
    """

    worker: Worker
    number: int
    limit: float
    spent: float
    deadline: float = inf


class Processes:
    """`slots` processes with a job each.

    `logs`: the folder of the trials' logs. `watch` is told of every epoch. `timeout`: seconds of
    training after which a trial is taken for hung. `threads`: those of torch in each.
    """

    def __init__(
        self,
        slots: int,
        logs: Path,
        watch: Watch,
        timeout: float | None = None,
        threads: int = 1,
    ) -> None:
        self.slots = slots
        self._logs, self._watch, self._threads = logs, watch, threads
        self._timeout = inf if timeout is None else timeout
        self._idle: list[Worker] = []
        self._busy: dict[Connection, Busy] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def submit(self, job: Job) -> None:
        worker = self._idle.pop() if self._idle else Worker.start(self._logs, self._threads)
        self._busy[worker.pipe] = Busy(worker, job.number, self._timeout * job.patience, job.spent)
        with contextlib.suppress(BrokenPipeError):  # it died idle, which `next` finds out
            worker.pipe.send(job)

    def next(self) -> Outcome:
        while True:
            ready = wait(self._busy, self._patience())
            for busy in [self._busy[pipe] for pipe in self._busy if pipe in ready]:
                if outcome := self._heard(busy):
                    return outcome
            for pipe, busy in self._busy.items():
                # One with something to say may have ended while the driver was at other work.
                if time.monotonic() >= busy.deadline and pipe not in ready:
                    return self._lost(busy, f"it ran for more than {busy.limit:g} s")

    def close(self) -> None:
        for worker in (*self._idle, *(busy.worker for busy in self._busy.values())):
            worker.stop()
        self._idle.clear()
        self._busy.clear()

    def _patience(self) -> float | None:
        """Seconds until a job is late."""
        first = min(busy.deadline for busy in self._busy.values())
        return None if first == inf else max(0.0, first - time.monotonic())

    def _heard(self, busy: Busy) -> Outcome | None:
        """What a worker has to say: its job begins or ends, an epoch has ended, or it is gone."""
        try:
            said = busy.worker.pipe.recv()
        except (EOFError, OSError):  # the latter in the middle of a message
            return self._lost(busy, None)
        if isinstance(said, Begun):
            busy.deadline = time.monotonic() + busy.limit - busy.spent
        elif isinstance(said, Outcome):
            del self._busy[busy.worker.pipe]
            self._keep(busy.worker, said)
            return said
        else:
            self._watch(*said)
        return None

    def _keep(self, worker: Worker, outcome: Outcome) -> None:
        """For the next job, unless what has filled the machine may still be in this process."""
        if outcome.lost:
            worker.stop()
        else:
            self._idle.append(worker)

    def _lost(self, busy: Busy, reason: str | None) -> Outcome:
        """The outcome of a job whose worker is gone, or goes now; the next job has a new one."""
        del self._busy[busy.worker.pipe]
        status = busy.worker.stop()
        reason = reason or _reason(status)
        note(log_file(self._logs, busy.number), reason)
        return Outcome(busy.number, error=reason, lost=True)


def _reason(status: int) -> str:
    """Why a process ended."""
    if status >= 0:
        return f"its worker ended with exit code {status}"
    name = signal.Signals(-status).name
    hint = ", as by a system that is out of memory" if -status == signal.SIGKILL else ""
    return f"its worker was killed by {name}{hint}"
