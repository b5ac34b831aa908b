"""The clocks that a run of a network is timed by. Times are in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Run: TypeAlias = Callable[[], Any]  # one inference of one image; returns the scores


class Times(NamedTuple):
    """Of one run: the time that counts as its latency, on the wall, and of CPU over all threads.

    Where CPU time is what counts, `ms` and `cpu` are equal.
    """

    ms: float
    wall: float
    cpu: float


Stopwatch: TypeAlias = Callable[[Run], Times]


def caller_time(run: Run) -> Times:
    """CPU time of the calling thread, for engines that with one thread do all their work there.

    It is what a run takes on an idle core, also where the system gave the core to others in the
    middle.
    """
    cpu, wall = _timed(run, time.thread_time_ns)
    return Times(cpu, wall, cpu)


def wall_time(run: Run) -> Times:
    """Time on the wall, for engines that share the work between threads."""
    cpu, wall = _timed(run, time.process_time_ns)
    return Times(wall, wall, cpu)


def _timed(run: Run, cpu_clock: Callable[[], int]) -> tuple[float, float]:
    cpu, wall = cpu_clock(), time.perf_counter_ns()
    run()
    wall = time.perf_counter_ns() - wall
    return (cpu_clock() - cpu) / 1e6, wall / 1e6
