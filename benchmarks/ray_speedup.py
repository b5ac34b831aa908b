"""Two workers of one core against one: `python benchmarks/ray_speedup.py` writes the CSV.

The same search three times, by one process, by two, and by two tasks of Ray at once: `tiny` on
digits, sampled at random, one thread each. An hour's trials are taken from the finish of the first
ones to that of the last, so that the start of workers is left out. Claim: two do 1.6 times the
trials of one, on a machine of two cores that has nothing else to do.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nas
from nas.executors.execution import Execution
from nas.progress import Progress
from nas.recipe import Recipe
from nas.records import Trial

TRIALS, WARM = 24, 4
EXECUTIONS = {
    "1 process": Execution(workers=1),
    "2 processes": Execution(workers=2),
    "Ray, 2 at once": Execution(ray="local", max_concurrent=2),
}
OUT = Path(__file__).with_suffix(".csv")


class Stopwatch(Progress):
    """Keeps when trials ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self.ends.append(time.perf_counter())

    @property
    def trials_an_hour(self) -> float:
        return 3600 * (len(self.ends) - WARM) / (self.ends[-1] - self.ends[WARM - 1])


def speed(execution: Execution, out: Path) -> float:
    watch = Stopwatch()
    nas.search(
        space="tiny",
        objectives=("accuracy", "macs"),
        sampler="random",
        trials=TRIALS,
        confirm=0,
        recipe=Recipe(),
        out=out,
        progress=watch,
        execution=execution,
    )
    return watch.trials_an_hour


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        speeds = {name: speed(e, Path(folder) / name) for name, e in EXECUTIONS.items()}
    alone = next(iter(speeds.values()))
    rows = [(name, round(found), round(found / alone, 2)) for name, found in speeds.items()]
    rows.append(("load average of the machine", round(os.getloadavg()[2], 2), ""))
    for row in rows:
        print(*row, sep=", ")
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("workers", "trials_an_hour", "times"), *rows])


if __name__ == "__main__":
    main()
