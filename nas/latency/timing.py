"""Timing two networks in turn, so that what slows the machine slows both and cancels.

A block is a few milliseconds of one network and then of the other, the order swapped from block to
block. The shorter the turns, the more of a drift (heat, frequency, a neighbour) is the same for
both.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import NamedTuple, TypeVar

from nas.latency.backends import Run
from nas.latency.lock import alone

TURN_MS = 2.0  # timed of one network before the other has its turn
WARM_UP_MS = 250.0  # at most, a network
STEADY = 0.05  # a network is warm where the medians of successive runs differ by less
_T = TypeVar("_T")


class Times(NamedTuple):
    """Milliseconds of one run: on the wall, and of CPU time."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times runs; `one_thread` says that all of a run's work is done in the thread that asks.

    Then a run's time is its CPU time: what it takes on an idle core, also where the system gave
    the core to others in the middle. With more threads it is the time on the wall.
    """

    one_thread: bool

    def time(self, run: Run) -> Times:
        clock = time.thread_time_ns if self.one_thread else time.process_time_ns
        cpu, wall = clock(), time.perf_counter_ns()
        run()
        wall = time.perf_counter_ns() - wall
        return Times(wall / 1e6, (clock() - cpu) / 1e6)

    def turn(self, run: Run, runs: int) -> list[Times]:
        return [self.time(run) for _ in range(runs)]

    def median(self, times: list[Times]) -> float:
        """Of the times that count, in milliseconds."""
        return median(t.cpu if self.one_thread else t.wall for t in times)

    def warm_up(self, run: Run) -> float:
        """Run until the time is steady; returns it in milliseconds."""
        start, before, now = time.perf_counter_ns(), 0.0, 0.0
        while (time.perf_counter_ns() - start) / 1e6 < WARM_UP_MS:
            before, now = now, self.median(self.turn(run, 3))
            if abs(now - before) < STEADY * now:
                break
        return now


class Block(NamedTuple):
    """A turn of each network."""

    candidate: list[Times]
    reference: list[Times]
    ratio: float


def alternate(candidate: Run, reference: Run, watch: Stopwatch) -> Iterator[Block]:
    """Blocks without end, after a warm-up."""
    networks = candidate, reference
    runs = [max(1, round(TURN_MS / watch.warm_up(run))) for run in networks]
    while True:
        for first in (0, 1):
            turns = {i: _turn(networks[i], runs[i], watch) for i in (first, 1 - first)}
            yield Block(turns[0], turns[1], watch.median(turns[0]) / watch.median(turns[1]))


def _turn(run: Run, runs: int, watch: Stopwatch) -> list[Times]:
    """Times of `runs` runs, after as many that are not timed.

    The other network has filled the caches: the first run of one that takes two milliseconds is
    8 % slower for it, and by how much changes with what the neighbours do.
    """
    watch.turn(run, runs)
    return watch.turn(run, runs)


def until_sure(blocks: Iterator[Block], precision: float, ms: float, least: int) -> list[Block]:
    """Take blocks until their median ratio is known to ± `precision`, or for `ms` milliseconds."""
    taken: list[Block] = []
    end = time.perf_counter_ns() + ms * 1e6
    for block in blocks:
        taken.append(block)
        if len(taken) >= least and (
            spread([b.ratio for b in taken]) <= precision or time.perf_counter_ns() >= end
        ):
            break
    return taken


def interval(values: list[float]) -> tuple[float, float]:
    """95 % confidence interval of the median by order statistics, whatever the noise is.

    With fewer than six values, of which there is none, their smallest and largest.
    """
    n, k = len(values), 0
    # Both ends leave out k values: right with probability 1 - 2 P(binomial(n, 1/2) <= k).
    while 2 * sum(comb(n, i) for i in range(k + 2)) <= 0.05 * 2**n:
        k += 1
    return sorted(values)[k], sorted(values)[n - 1 - k]


def spread(values: list[float]) -> float:
    """Half the interval of the median, as a share of it."""
    low, high = interval(values)
    return (high - low) / 2 / median(values)


def undisturbed(function: Callable[[], _T]) -> _T:
    """`function()` while no other process measures, without garbage collection.

    It runs in a thread of its own: engines switch their caller to flushing denormal numbers, and
    the rest of the program must keep them.
    """
    with alone(), _no_garbage_collection(), ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
