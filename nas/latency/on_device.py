"""Times the networks of this folder on this device: python measure.py [--name "My phone"]

Needs Python 3.8 or later, onnxruntime and numpy, nothing else. It prints its progress and may be
stopped and started again at any time: what is done stands in measurements.jsonl. At its end it
writes measurements.json; bring that back and run: nas latency import measurements.json

A network is timed in turn with the network reference.onnx, so that what slows the device slows
both and cancels: a few milliseconds of one, a few of the other, after as many that do not count,
all medians. It comes up in several rounds, prepared afresh each time. Run nothing else meanwhile,
and plug the device in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
ROUNDS = 3
TURN, WARM_UP, STEADY = 0.002, 0.25, 0.05  # seconds, seconds, share
CALIBRATION = 5.0  # seconds


def session(path: Path, threads: int) -> Callable[[], Any]:
    """A function that runs the network of a file once, on one image."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    loaded = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    shape = loaded.get_inputs()[0].shape
    feed = {"image": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    return lambda: loaded.run(None, feed)


def clock_of(threads: int) -> Callable[[], float]:
    """Of one thread, the time on an idle core counts, whatever else the device does."""
    return time.thread_time if threads == 1 else time.perf_counter


def timed(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def warm_up(run: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Run until the time is steady; returns it in seconds."""
    end = time.perf_counter() + WARM_UP
    before, now = timed(run, clock), timed(run, clock)
    while abs(now - before) >= STEADY * now and time.perf_counter() < end:
        before, now = now, timed(run, clock)
    return max(now, 1e-6)


def turn(run: Callable[[], Any], runs: int, clock: Callable[[], float]) -> float:
    """The median time of `runs` runs, after as many that do not count."""
    return median([timed(run, clock) for _ in range(2 * runs)][runs:])


def ratio(
    path: Path, threads: int, clock: Callable[[], float], seconds: float = 0.0
) -> tuple[float, float]:
    """The network's time over the reference's, and the reference's in seconds.

    Both are timed for as long as they took to prepare, or for so many seconds.
    """
    start = time.perf_counter()
    pair = session(path, threads), session(HERE / "reference.onnx", threads)
    runs = [max(1, round(TURN / warm_up(run, clock))) for run in pair]
    end = max(2 * time.perf_counter() - start, start + seconds)
    ratios: list[float] = []
    references: list[float] = []
    while not ratios or time.perf_counter() < end:
        for first in (0, 1):
            own = {i: turn(pair[i], runs[i], clock) for i in (first, 1 - first)}
            ratios.append(own[0] / own[1])
            references.append(own[1])
    return median(ratios), median(references)


def device_name() -> str:
    """The processor's name, as /proc/cpuinfo or Python has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for key in ("model name", "Hardware"):
        for line in lines:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def append(path: Path, data: dict[str, Any]) -> None:
    """Add a line that a power cut does not take back."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(data) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_log(path: Path) -> list[Any]:
    """The lines of an earlier start; a last one that was cut is dropped."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


def begin(log: Path, form: int, name: str, threads: int) -> dict[str, Any]:
    """The first line of the log: the device and its unit of time."""
    print("calibrating on reference.onnx", file=sys.stderr)
    reference = HERE / "reference.onnx"
    unit = 1e3 * ratio(reference, threads, clock_of(threads), CALIBRATION)[1]
    head = {
        "kind": "latency measurements",
        "format": form,
        "backend": "onnxruntime",
        "threads": threads,
        "cpu": name,
        "reference_ms": unit,
        "versions": {"onnxruntime": ort.__version__, "python": platform.python_version()},
    }
    append(log, head)
    return head


def measure(log: Path, count: int, head: dict[str, Any], lines: list[Any]) -> None:
    """Time all that the log lacks, a line a round."""
    done = {(line["round"], line["network"]) for line in lines}
    jobs = [(r, n) for r in range(ROUNDS) for n in range(count) if (r, n) not in done]
    start = time.monotonic()
    for i, (number, network) in enumerate(jobs):
        path = HERE / "networks" / f"{network:03}.onnx"
        ms = ratio(path, head["threads"], clock_of(head["threads"]))[0] * head["reference_ms"]
        lines.append({"network": network, "round": number, "ms": ms})
        append(log, lines[-1])
        left = (time.monotonic() - start) / (i + 1) * (len(jobs) - i - 1) / 60
        print(
            f"\rround {number + 1} of {ROUNDS}, network {network + 1} of {count}: {ms:8.3f} ms, "
            f"{left:.0f} min left ",
            end="",
            file=sys.stderr,
        )
    print(file=sys.stderr)


def write(path: Path, archs: list[Any], head: dict[str, Any], lines: list[Any]) -> None:
    """measurements.json, and how far a round lies from its network's median."""
    networks = [{"arch": arch, "ms": []} for arch in archs]
    for line in lines:
        networks[line["network"]]["ms"].append(line["ms"])
    spread = median(
        abs(ms / median(network["ms"]) - 1) for network in networks for ms in network["ms"]
    )
    path.write_text(json.dumps({**head, "networks": networks}) + "\n", encoding="utf-8")
    print(f"{path}: {len(networks)} networks on {head['cpu']}, rounds differ by ±{spread:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", help="of the device (its processor's)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the engine (1)")
    options = parser.parse_args()
    log = HERE / "measurements.jsonl"
    bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    head, *lines = read_log(log) or [None]
    if head is None:
        head = begin(log, bundle["format"], options.name or device_name(), options.threads)
    try:
        measure(log, len(bundle["networks"]), head, lines)
    except KeyboardInterrupt:
        sys.exit("\nstopped; all finished rounds are kept, start again to go on")
    write(HERE / "measurements.json", bundle["networks"], head, lines)


if __name__ == "__main__":
    main()
