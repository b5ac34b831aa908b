"""A worker of `Processes`: `python -m nas.executors.worker PIPE LOGS` does jobs until it is closed.

It reads jobs from the pipe, a file descriptor, and writes what is said of each and its outcome.
"""

from __future__ import annotations

import os
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from nas.executors.base import Job, train
from nas.executors.logs import log_file, speak, written_to


def main(descriptor: int, logs: Path) -> None:
    """Do jobs one by one."""
    pipe: Connection = Connection(descriptor)
    jobs: SimpleQueue[Job] = SimpleQueue()
    Thread(target=_receive, args=(pipe, jobs), daemon=True).start()
    speak()
    while True:
        job = jobs.get()
        with written_to(log_file(logs, job.number)):
            outcome = train(job, pipe.send)
        pipe.send(outcome)


def _receive(pipe: Connection, jobs: SimpleQueue[Job]) -> None:
    """Take jobs while a training runs, so that the end of the driver ends this process at once."""
    try:
        while True:
            jobs.put(pipe.recv())
    except (EOFError, OSError):  # the latter where the driver died in the middle of a message
        os._exit(0)
    except BaseException:  # a job that cannot be read, as its block cannot be imported here
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
