"""The roofs of this machine, one thread: peak operations a second and bytes a second.

    roof(intensity) = min(peak, intensity · bandwidth)               Roofline, CACM 2009

Measured once and kept in the user's cache folder, since a roof is a property of the machine and
not of the moment. Peaks are best times, not medians: a roof is what can be reached.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from nas.analysis.layers import FLOP_PER_MAC
from nas.cost import cost
from nas.errors import InputError
from nas.graph import Graph, record
from nas.latency.backends import BACKENDS
from nas.latency.measurement import cpu_name
from nas.latency.timing import undisturbed

KERNELS = ((256, 28, 3), (128, 28, 3), (64, 56, 3), (512, 14, 1))  # channels, side, kernel
MEMORY, CACHE = 2**28, 2**18  # bytes of each array of the copies: far beyond caches, inside them
SECONDS = 0.7  # for each kernel and each copy
HOW = (
    "peak: the best of convolutions by onnxruntime, two operations a multiply–accumulate; "
    f"bandwidth: the best copy of {MEMORY >> 20} MiB by numpy, read + written; "
    f"cache: the same of {CACHE >> 10} KiB"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The roofs: `peak` in GFLOP/s, `bandwidth` of main memory and `cache` of caches in GB/s."""

    cpu: str
    threads: int
    peak: float
    bandwidth: float
    cache: float
    date: str
    how: str

    @property
    def ridge(self) -> float:
        """FLOP/byte from which on main memory no longer bounds."""
        return self.peak / self.bandwidth

    def roof(self, intensity: float) -> float:
        """The GFLOP/s that main memory and arithmetic allow at an intensity in FLOP/byte."""
        return min(self.peak, intensity * self.bandwidth)

    def seconds(self, macs: int, traffic: int) -> float:
        """The time at the roof for so many MACs and bytes: the slower of the two, overlapped."""
        return max(FLOP_PER_MAC * macs / self.peak, traffic / self.bandwidth) / 1e9

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def cache_file() -> Path:
    """Where roofs are kept: $XDG_CACHE_HOME or ~/.cache."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(folder) if Path(folder).is_absolute() else Path.home() / ".cache"
    return base / "nas-explorer" / "roofline.json"


def this_machine() -> Machine:
    """The roofs of this machine, measured at the first call ever; some seconds then.

    Raises InputError where the cache file is not what this function writes.
    """
    path, key = cache_file(), f"{cpu_name()}, 1 thread"
    known = _read(path)
    if key not in known:
        known[key] = measure_machine().to_dict()
        _write(path, known)
    try:
        return Machine(**known[key])
    except TypeError:
        raise InputError(f"{path}: {key!r} is no measured machine; delete the file") from None


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: {error}; delete the file to measure again") from error
    if not isinstance(known, dict):
        raise InputError(f"{path}: expected a mapping; delete the file to measure again")
    return known


def _write(path: Path, known: dict[str, Any]) -> None:
    """Whole or not at all, since two processes may write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")
    draft.replace(path)


def measure_machine(seconds: float = SECONDS, memory: int = MEMORY, cache: int = CACHE) -> Machine:
    """Measure the roofs, `seconds` for each of six measurements, alone on the machine."""
    peak, bandwidth, inner = undisturbed(
        lambda: (
            max(_gflops(*kernel, seconds) for kernel in KERNELS),
            _copied(memory, seconds),
            _copied(cache, seconds),
        )
    )
    return Machine(cpu_name(), 1, peak, bandwidth, inner, date.today().isoformat(), HOW)


def _gflops(channels: int, side: int, kernel: int, seconds: float) -> float:
    graph = _convolution(channels, side, kernel)
    run = BACKENDS["onnxruntime"].prepare(graph, 1)
    return FLOP_PER_MAC * cost(graph).macs / _best(run, seconds) / 1e9


def _convolution(channels: int, side: int, kernel: int) -> Graph:
    size = (channels, side, side)
    return record(size, lambda x: x.conv(channels, kernel, norm=False, act=None))


def _copied(size: int, seconds: float) -> float:
    """GB/s of a copy, read and written, as STREAM counts it."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    return 2 * size / _best(lambda: np.copyto(target, source), seconds) / 1e9


def _best(run: Callable[[], object], seconds: float) -> float:
    """The shortest time of a run, in seconds, of at least three."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
