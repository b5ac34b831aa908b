"""The latency of a network on this machine.

    latency_ms = median over blocks of (candidate's time / reference's time) · reference's ms

The reference network's milliseconds are measured once (`calibrate`) and kept, so that all
latencies of a run have one unit, whatever the machine does in between.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from nas.errors import InputError
from nas.graph import Graph
from nas.latency.backends import Backend, Run, find_backend
from nas.latency.reference import reference
from nas.latency.timing import (
    Block,
    Stopwatch,
    Times,
    alternate,
    interval,
    undisturbed,
    until_sure,
)

BUSY = 0.05  # the share of the time that others may take before a result counts as noisy


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one image, with what is needed to judge them.

    `low` and `high` bound `latency_ms` with 95 % confidence; the reference's own uncertainty,
    which all results of a run share, is left out. `raw_ms` is the median time on the wall of
    `runs` runs, `cpu_ms` their mean CPU time over all threads. `noisy`: the interval is wider
    than was asked for, or others held the cores for more than 5 % of the time.
    """

    latency_ms: float
    low: float
    high: float
    raw_ms: float
    ratio: float
    reference_ms: float
    runs: int
    cpu_ms: float
    backend: str
    threads: int
    cpu: str
    noisy: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `Latency(**data)` reads it back."""
        return asdict(self)


def measure(
    graph: Graph,
    *,
    backend: str = "onnxruntime",
    threads: int = 1,
    reference_ms: float | None = None,
    precision: float = 0.02,
    seconds: float = 1.0,
    blocks: int = 20,
) -> Latency:
    """Time a network with random weights, one image at a time, beside the reference network.

    Stops where the 95 % interval is within ± `precision` or after `seconds`, but not before
    `blocks` blocks. Waits while another process measures. Without `reference_ms`, which
    `calibrate` returns, the reference's time within this call stands in, and results of different
    calls are no steadier than the machine. Raises InputError for an unknown back end, and for a
    network that it cannot run.
    """
    engine = _engine(backend, threads)
    watch = _stopwatch(engine, threads)

    def timed() -> list[Block]:
        pair = engine.prepare(graph, threads), _reference(engine, threads)
        return until_sure(alternate(*pair, watch), precision, 1e3 * seconds, blocks)

    taken = undisturbed(timed)
    own = list(chain.from_iterable(block.candidate for block in taken))
    others = list(chain.from_iterable(block.reference for block in taken))
    ratios = [block.ratio for block in taken]
    ratio, (low, high) = median(ratios), interval(ratios)
    unit = watch.median(others) if reference_ms is None else reference_ms
    return Latency(
        latency_ms=ratio * unit,
        low=low * unit,
        high=high * unit,
        raw_ms=median(t.wall for t in own),
        ratio=ratio,
        reference_ms=unit,
        runs=len(own),
        cpu_ms=sum(t.cpu for t in own) / len(own),
        backend=backend,
        threads=threads,
        cpu=cpu_name(),
        noisy=(high - low) / 2 > precision * ratio or _busy(own + others, watch) > BUSY,
    )


def calibrate(*, backend: str = "onnxruntime", threads: int = 1, seconds: float = 2.0) -> float:
    """The reference network's milliseconds, the unit of all latencies of a run.

    The median over `seconds`. Raises InputError for an unknown back end.
    """
    engine = _engine(backend, threads)
    watch = _stopwatch(engine, threads)

    def timed() -> float:
        run = _reference(engine, threads)
        runs = max(20, round(1e3 * seconds / watch.warm_up(run)))
        return watch.median(watch.turn(run, runs))

    return undisturbed(timed)


@cache
def cpu_name() -> str:
    """The processor's name as the system gives it, for example 'AMD EPYC 9B14'."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _engine(backend: str, threads: int) -> Backend:
    if threads < 1:
        raise InputError(f"threads: expected at least 1, got {threads}")
    return find_backend(backend)


def _stopwatch(engine: Backend, threads: int) -> Stopwatch:
    coarse = sys.platform == "win32"  # its CPU clocks tick every 16 ms
    return Stopwatch(one_thread=engine.in_caller and threads == 1 and not coarse)


@lru_cache(maxsize=4)
def _reference(engine: Backend, threads: int) -> Run:
    return engine.prepare(reference(), threads)


def _busy(times: list[Times], watch: Stopwatch) -> float:
    """The share of the time in which others held the core; unknown (0) with several threads."""
    if not watch.one_thread:
        return 0.0
    return 1 - sum(t.cpu for t in times) / sum(t.wall for t in times)
