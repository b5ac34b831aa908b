"""Timing two networks in turn, so that what slows the machine slows both and cancels.

A block is a few milliseconds of one network and then of the other, the order swapped from block to
block. The shorter the turns, the more of a drift (heat, frequency, a neighbour) is the same for
both.

A round is some blocks of networks that were prepared afresh. Within a round, neighbours and the
places of tensors in memory stay as they are and move all its ratios the same way, so that blocks
of one round cannot tell how sure the result is. Rounds can.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import comb
from statistics import median
from typing import NamedTuple, TypeAlias, TypeVar

from nas.latency.lock import alone
from nas.latency.stopwatch import Run, Stopwatch, Times

TURN_MS = 2.0  # timed of one network before the other has its turn
WARM_UP_MS = 100.0  # at most, a network
STEADY = 0.05  # a network is warm where successive runs differ by less
ROUNDS = 6  # the fewest whose median has a 95 % interval
_T = TypeVar("_T")


class Block(NamedTuple):
    """A turn of each network."""

    candidate: list[Times]
    reference: list[Times]

    @property
    def ratio(self) -> float:
        return middle(self.candidate) / middle(self.reference)


Round: TypeAlias = list[Block]
Prepare: TypeAlias = Callable[[], tuple[Run, Run]]  # the candidate and the reference


def until_sure(
    prepare: Prepare, watch: Stopwatch, precision: float, seconds: float, blocks: int
) -> list[Round]:
    """Rounds until their median ratio is known to ± `precision`, or for so many seconds.

    At least six of them, with at least so many blocks in all.
    """
    taken: list[Round] = []
    end = time.perf_counter_ns() + 1e9 * seconds
    while True:
        taken.append(timed_round(prepare, watch))
        enough = len(taken) >= ROUNDS and sum(map(len, taken)) >= blocks
        if enough and (spread(ratios(taken)) <= precision or time.perf_counter_ns() >= end):
            return taken


def ratios(rounds: list[Round]) -> list[float]:
    """Each round's time of the candidate over that of the reference."""
    return [median(block.ratio for block in blocks) for blocks in rounds]


def timed_round(prepare: Prepare, watch: Stopwatch) -> Round:
    """Prepare and warm up two networks, then time them in turn for as long as that took.

    This divides the time between more rounds and longer ones, and costs at most twice what the
    best division would.
    """
    start = time.perf_counter_ns()
    pair = prepare()
    runs = [max(1, round(TURN_MS / warm_up(run, watch))) for run in pair]
    end = 2 * time.perf_counter_ns() - start
    blocks: Round = []
    with _no_garbage_collection():
        while not blocks or time.perf_counter_ns() < end:
            for first in (0, 1):
                turns = {i: _turn(pair[i], runs[i], watch) for i in (first, 1 - first)}
                blocks.append(Block(turns[0], turns[1]))
    return blocks


def warm_up(run: Run, watch: Stopwatch) -> float:
    """Run until the time is steady; returns it in milliseconds."""
    end = time.perf_counter_ns() + 1e6 * WARM_UP_MS
    before, now = watch(run).ms, watch(run).ms
    while abs(now - before) >= STEADY * now and time.perf_counter_ns() < end:
        before, now = now, watch(run).ms
    return now


def _turn(run: Run, runs: int, watch: Stopwatch) -> list[Times]:
    """Times of `runs` runs, after as many that do not count.

    The other network has filled the caches: the first run of one that takes two milliseconds is
    4 to 8 % slower for it, and by how much changes with what the neighbours do.
    """
    return [watch(run) for _ in range(2 * runs)][runs:]


def middle(times: list[Times]) -> float:
    """The median of the times that count, in milliseconds."""
    return median(t.ms for t in times)


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
    """`function()` while no other process measures or trains.

    It runs in a thread of its own: engines switch their caller to flushing denormal numbers, and
    the rest of the program must keep them.
    """
    with alone(), ThreadPoolExecutor(1) as pool:
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
