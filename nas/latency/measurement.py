"""The latency of a network on this machine.

    latency_ms = median over rounds of (candidate's time / reference's time) · reference's ms

The reference network's milliseconds are measured once (`calibrate`) and kept, so that all
latencies of a run have one unit, whatever the machine does in between. docs/latency.md gives the
protocol and its reasons.
"""

from __future__ import annotations

import logging
import platform
from dataclasses import asdict, dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal, TypeAlias

from nas.errors import InputError
from nas.graph import Graph
from nas.latency.backends import find_backend
from nas.latency.reference import reference
from nas.latency.stopwatch import Run, Times
from nas.latency.timing import (
    Block,
    Round,
    interval,
    middle,
    ratios,
    spread,
    undisturbed,
    until_sure,
)

BUSY = 0.05  # the share of the time that others may take before a result counts as noisy
DRIFT = 0.1  # by which the reference's time may differ from what it was when calibrated
Source: TypeAlias = Literal["measured", "estimated"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one image, with what is needed to judge them.

    `low` and `high` bound `latency_ms` with 95 % confidence; the reference's own uncertainty,
    which all results of a run share, is left out. `raw_ms` is the median time on the wall of
    `runs` runs, `cpu_ms` their mean CPU time over all threads. `noisy`: the interval is wider
    than was asked for, others held the cores for more than 5 % of the time, or the reference
    took 10 % more or less than `reference_ms`. `source` tells a measurement from an estimate.
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
    source: Source = "measured"

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
    seconds: float = 2.0,
    blocks: int = 20,
) -> Latency:
    """Time a network with random weights, one image at a time, beside the reference network.

    Stops where the 95 % interval is within ± `precision` or after `seconds`, but not before six
    rounds and `blocks` blocks. Waits while another process measures or trains. Without
    `reference_ms`, which `calibrate` returns, the reference's time within this call stands in, and
    results of different calls are no steadier than the machine. Raises InputError for an unknown
    back end, and for a network that it cannot run.
    """
    rounds = _timed(graph, backend, threads, precision, seconds, blocks)
    found, now = ratios(rounds), _reference_time(rounds)
    ratio, (low, high) = median(found), interval(found)
    unit = now if reference_ms is None else reference_ms
    own = [t for block in _blocks(rounds) for t in block.candidate]
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
        noisy=spread(found) > precision or _busy(rounds) > BUSY or abs(now / unit - 1) > DRIFT,
    )


def calibrate(*, backend: str = "onnxruntime", threads: int = 1, seconds: float = 2.0) -> float:
    """The reference network's milliseconds, the unit of all latencies of a run.

    Timed for `seconds` beside itself; a warning is logged where others held the cores meanwhile.
    Raises InputError for an unknown back end and one that is not installed.
    """
    rounds = _timed(reference(), backend, threads, 0.0, seconds, 1)
    if (share := _busy(rounds)) > BUSY:
        logging.getLogger(__name__).warning(
            "other processes held the cores for %.0f %% of the time: latencies may come out high, "
            "their ratios hold",
            100 * share,
        )
    return _reference_time(rounds)


def _timed(
    graph: Graph, backend: str, threads: int, precision: float, seconds: float, blocks: int
) -> list[Round]:
    if threads < 1:
        raise InputError(f"threads: expected at least 1, got {threads}")
    engine = find_backend(backend)

    def prepare() -> tuple[Run, Run]:
        return engine.prepare(graph, threads), engine.prepare(reference(), threads)

    watch = engine.stopwatch(threads)
    return undisturbed(lambda: until_sure(prepare, watch, precision, seconds, blocks))


def _blocks(rounds: list[Round]) -> list[Block]:
    return list(chain.from_iterable(rounds))


def _reference_time(rounds: list[Round]) -> float:
    """The reference's milliseconds while these rounds were taken: the lower quartile of rounds.

    Neighbours only ever add, and come and go in seconds.
    """
    return quantiles([median(middle(b.reference) for b in blocks) for blocks in rounds])[0]


def _busy(rounds: list[Round]) -> float:
    """The share of the time in which others held the core; unknown (0) where the wall is timed."""
    times: list[Times] = []
    for block in _blocks(rounds):
        times += block.candidate + block.reference
    if any(t.ms != t.cpu for t in times):
        return 0.0
    return 1 - sum(t.cpu for t in times) / sum(t.wall for t in times)


@cache
def cpu_name() -> str:
    """The processor's name as the system gives it, for example 'AMD EPYC 9B14'."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
