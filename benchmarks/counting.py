"""Counting is fast and exact: `python benchmarks/counting.py` writes counting.csv beside it.

Claims, in one run:
- random `mobile` architectures at 224 pixels are costed at thousands a second, no torch loaded: by
  one process, and by one process a core;
- one process costs at least 400 times as many as by building the module and tracing it with fvcore;
- params and MACs equal fvcore's for 200 random architectures of every space.
"""

from __future__ import annotations

import csv
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

from nas.arch import Architecture, trace
from nas.cost import cost
from nas.space_file import load_space, space_names

COSTED, ROUNDS, TRACED, CHECKED = 4000, 5, 20, 200
OUT = Path(__file__).with_suffix(".csv")


def architectures(name: str, count: int, seed: int) -> list[Architecture]:
    space, rng = load_space(name), random.Random(seed)
    return [space.architecture(space.sample(rng)) for _ in range(count)]


def costed_per_second() -> float:
    """The median over rounds, each of other architectures, as a search meets them."""
    rates = []
    for seed in range(ROUNDS):
        found = architectures("mobile", COSTED, seed)
        started = time.perf_counter()
        for arch in found:
            cost(arch)
        rates.append(COSTED / (time.perf_counter() - started))
    assert "torch" not in sys.modules
    return median(rates)


def costed_per_second_by_all() -> float:
    """The sum over processes, one a core."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        return sum(pool.map(_rate, range(cores)))


def _rate(_: int) -> float:
    return costed_per_second()


def traced_per_second() -> float:
    """The same by torch and fvcore: build the module, run it once at 224 pixels."""
    import torch

    from nas.net import build
    from nas.verify import fvcore_macs

    torch.set_num_threads(1)
    found = architectures("mobile", TRACED + 1, 0)
    fvcore_macs(build(found[0]), found[0].input)  # the first one loads libraries
    started = time.perf_counter()
    for arch in found[1:]:
        fvcore_macs(build(arch), arch.input)
    return TRACED / (time.perf_counter() - started)


def equal(name: str) -> int:
    """How many of 200 random architectures have fvcore's MACs and torch's parameters, by layer."""
    from nas.verify import CostMismatch, verify

    count = 0
    for arch in architectures(name, CHECKED, 1):
        try:
            verify(trace(arch))
            count += 1
        except CostMismatch as error:
            print(f"{name}: {arch.id}: {error}", file=sys.stderr)
    return count


def main() -> None:
    fast, together, slow = costed_per_second(), costed_per_second_by_all(), traced_per_second()
    rows = [
        ("costed per second, one core", "mobile", round(fast)),
        (f"costed per second, {os.cpu_count()} cores", "mobile", round(together)),
        ("built and traced by fvcore per second", "mobile", round(slow, 2)),
        ("ratio, one core", "mobile", round(fast / slow)),
    ]
    for row in rows:
        print(*row, sep=", ")
    for name in space_names():
        rows.append((f"equal to fvcore, of {CHECKED}", name, equal(name)))
        print(*rows[-1], sep=", ", flush=True)
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("figure", "space", "value"), *rows])


if __name__ == "__main__":
    main()
