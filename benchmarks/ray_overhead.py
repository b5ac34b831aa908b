"""What a trial costs that is no training: `python benchmarks/ray_overhead.py` writes the CSV.

A thousand trials of an evaluation that does nothing, in series and by a Ray that is started here
and told of eight cores, whatever there are, so that eight run at a time and keep their workers.
`mobile`, sampled at random, records on a disk. Claims: over 100 trials a second by Ray, of which
the driver's own time is under 10 ms a trial.
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import ray

from nas import Budget, load_space
from nas.evaluate import Rung, Task, cached_data
from nas.executors import Executor, Job, Outcome, Say
from nas.executors.cluster.connection import code
from nas.executors.cluster.jobs import RayJobs
from nas.executors.execution import Execution, opened
from nas.gate import Gate
from nas.journal import Journal
from nas.loop import Loop
from nas.progress import Progress
from nas.recipe import Recipe
from nas.records import Result
from nas.settings import Settings

TRIALS, WARM, AT_ONCE = 1000, 100, 8
OUT = Path(__file__).with_suffix(".csv")


def nothing(job: Job, say: Say) -> Outcome:
    """As if the network had been trained."""
    result = Result(job.seed / 2**31, 1.0, 100, (1.0,), ((job.epochs, 0.5),), 0.0)
    return Outcome(job.number, Rung(result, None))


class Nothing:
    """The same in series."""

    slots = 1

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next(self) -> Outcome:
        return nothing(self._jobs.pop(), lambda *_: None)

    def close(self) -> None:
        self._jobs.clear()


class Stopwatch(Progress):
    """Starts when the workers are warm; `bytes` are those of a pickled job."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def trial(self, *_: Any) -> None:
        self.times.append((time.perf_counter(), time.process_time()))

    def per_trial(self) -> tuple[float, float]:
        """Seconds on the wall and of the driver's CPU, all its threads."""
        (wall, cpu), (wall_end, cpu_end) = self.times[WARM], self.times[-1]
        count = len(self.times) - 1 - WARM
        return (wall_end - wall) / count, (cpu_end - cpu) / count


def measure(folder: Path, executor: Executor) -> tuple[float, float]:
    settings = Settings(trials=WARM + TRIALS, sampler="random", objectives=("accuracy", "macs"))
    gate = Gate(load_space("mobile").bind(classes=10), Budget(), None, lambda *_: None)
    watch = Stopwatch()
    Loop(Journal(folder), settings, task(), gate, executor, watch).run()
    return watch.per_trial()


def task() -> Task:
    return Task("digits", None, cached_data("digits", None).id, Recipe())


def main() -> None:
    rows = []
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    ray.init(address="local", num_cpus=AT_ONCE, runtime_env={"py_modules": code(())}, **quiet)
    execution = Execution(ray="local", max_concurrent=AT_ONCE)
    data = cached_data("digits", None)
    with tempfile.TemporaryDirectory() as name, opened(execution, ()):
        folder = Path(name)
        for title, make in {
            "in series": lambda path: Nothing(),
            f"Ray, {AT_ONCE} at once": lambda path: RayJobs(
                execution, task(), data, path / "logs", lambda *_: None, nothing
            ),
        }.items():
            path = folder / title
            path.mkdir()
            wall, cpu = measure(path, make(path))
            rows.append((title, round(1 / wall, 1), round(1e3 * wall, 2), round(1e3 * cpu, 2)))
    for row in rows:
        print(*row, sep=", ")
    names = ("executor", "trials_a_second", "wall_ms", "driver_cpu_ms")
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


if __name__ == "__main__":
    main()
