"""Latencies repeat: `python benchmarks/latency_repeat.py` writes latency_repeat.csv beside it.

Six networks, each timed by five processes one after the other, in the unit of a reference that was
calibrated once; then again while another process loads one core. Claims, of `latency_ms`:
- on a quiet machine all are within ±3 % of the median of their network;
- beside a loaded core, whatever is further than 3 % from that median is flagged noisy;
- MobileNetV2 1.0 takes less than 3 s to ±2 %, with the export to ONNX, in a process that has
  measured before. `cold` is the first measurement of a process, with its imports.

For a machine that does nothing else; two to five minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

PROCESSES, LIMIT = 5, 0.03
NETWORKS = ("mobilenet_v2_x1_0", "mobilenet_v1_x0_5", "mobilenet_v3_small")
NETWORKS += ("shufflenet_v2_x1_0", "ghostnet_x1_0", "squeezenet1_1")
QUIET, LOADED = "quiet", "one core loaded"
OUT = Path(__file__).with_suffix(".csv")
Row = dict[str, Any]

# Products of matrices that do not fit into the caches, as a training beside us would do.
LOAD = "import numpy as np; x = np.ones((2000, 2000), 'f4')\nwhile True: x @ x"


def measure_all(reference_ms: float) -> Iterator[Row]:
    """Every network once, and MobileNetV2 before them as the first of the process."""
    started = time.perf_counter()
    from nas.latency import measure
    from nas.reference import published

    for name, start in [(NETWORKS[0], "cold"), *((name, "warm") for name in NETWORKS)]:
        found = measure(published(name).graph(), reference_ms=reference_ms).to_dict()
        ended = time.perf_counter()
        keys = ("latency_ms", "low", "high", "raw_ms", "noisy")
        yield {"start": start, "network": name, "seconds": ended - started} | {
            key: found[key] for key in keys
        }
        started = ended


def in_a_process(reference_ms: float) -> list[Row]:
    command = [sys.executable, __file__, str(reference_ms)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def loaded_core() -> Iterator[None]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", LOAD], env=environment) as other:
        try:
            yield
        finally:
            other.kill()


def measured() -> pd.DataFrame:
    """A row a measurement; `off` and `raw_off`: how far it is from its network's quiet median."""
    from nas.latency import calibrate

    reference_ms, rows = calibrate(seconds=5), []
    for condition, context in ((QUIET, nullcontext()), (LOADED, loaded_core())):
        with context:
            for number in range(PROCESSES):
                print(f"{condition}, process {number + 1} of {PROCESSES}", file=sys.stderr)
                found = in_a_process(reference_ms)
                rows += [{"condition": condition, "process": number} | row for row in found]
    table = pd.DataFrame(rows)
    usual = table[table["condition"] == QUIET].groupby("network").median(numeric_only=True)
    for column, source in (("off", "latency_ms"), ("raw_off", "raw_ms")):
        table[column] = table[source] / table["network"].map(usual[source]) - 1
    return table


def report(table: pd.DataFrame) -> str:
    """What the claims are about, as docs/latency.md has it."""
    lines = []
    for condition in (QUIET, LOADED):
        own = table[table["condition"] == condition]
        off = own[own["off"].abs() > LIMIT]
        lines += [
            f"{condition}: {len(own)} measurements, {own['noisy'].sum()} noisy",
            f"  latency_ms at most {own['off'].abs().max():.1%} from its quiet median; "
            f"{len(off)} beyond {LIMIT:.0%}, {(~off['noisy']).sum()} of them not flagged",
            f"  raw_ms at most {own['raw_off'].abs().max():.1%} from its quiet median",
        ]
        for start, seconds in own[own["network"] == NETWORKS[0]].groupby("start")["seconds"]:
            times = f"{seconds.median():.1f} s, at most {seconds.max():.1f} s"
            lines.append(f"  {NETWORKS[0]} takes {times} ({start})")
    return "\n".join(lines)


def main() -> None:
    table = measured()
    table.to_csv(OUT, index=False, float_format="%.4g")
    print(report(pd.read_csv(OUT)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for row in measure_all(float(sys.argv[1])):
            print(json.dumps(row), flush=True)
    else:
        main()
