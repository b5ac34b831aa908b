"""`nas latency build`: time random networks of all families on this machine, and fit its table.

Each network is timed in several rounds, with all others between them, so that a bad minute of the
machine spoils no network's every round. Each round is a line of a log beside the table, synced to
the disk: whatever ends a build, the next one goes on there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.graph import Graph
from nas.latency.backends import find_backend
from nas.latency.device import Device
from nas.latency.measurement import calibrate
from nas.latency.measurements import KIND, Measurements, checked
from nas.latency.reference import reference
from nas.latency.sample import sample_networks
from nas.latency.sealed import FORMAT
from nas.latency.table import DeviceTable
from nas.latency.timing import ratios, timed_round, undisturbed
from nas.records import append_line, read_lines

NETWORKS, ROUNDS = 1400, 2
CALIBRATION = 5.0  # seconds
ENGINES = ("onnxruntime", "openvino", "executorch", "torch")
Job: TypeAlias = tuple[int, int]  # (round, network)
Track: TypeAlias = Callable[[Sequence[Job], int], Iterable[Job]]  # shows the jobs left, of so many


def build_table(
    out: str | Path,
    *,
    backend: str = "onnxruntime",
    threads: int = 1,
    networks: int = NETWORKS,
    rounds: int = ROUNDS,
    seed: int = 0,
    track: Track = lambda jobs, total: jobs,
) -> DeviceTable:
    """Measure this machine, or go on where an earlier call ended, and write its table to `out`.

    The log stands beside it, device.jsonl for device.json. Raises InputError for a back end that
    is unknown or not installed, and for a log of another device.
    """
    log, device = Path(out).with_suffix(".jsonl"), Device.here(backend, threads)
    find_backend(backend)
    if not log.exists():
        _begin(log, device, sample_networks(networks, seed))
    head, lines = _read(log, device)
    archs = [Architecture.from_dict(arch, str(log)) for arch in head["networks"]]
    done = {(line["round"], line["network"]) for line in lines}
    jobs = [(r, n) for r in range(rounds) for n in range(len(archs))]
    for job in track([job for job in jobs if job not in done], len(jobs)):
        lines.append(_line(job, trace(archs[job[1]]), device, head["reference_ms"]))
        append_line(log, json.dumps(lines[-1]))
    table = DeviceTable.fit(_measurements(head, lines, log))
    table.save(out)
    return table


def read_log(log: Path) -> Measurements:
    """The rounds that a log holds so far; raises InputError."""
    head, *lines = read_lines(log)
    return _measurements(head, lines, log)


def time_round(graph: Graph, device: Device) -> float:
    """The network's time over the reference's, both prepared afresh and timed in turn."""
    engine = find_backend(device.backend)

    def prepare() -> Any:
        return engine.prepare(graph, device.threads), engine.prepare(reference(), device.threads)

    watch = engine.stopwatch(device.threads)
    (ratio,) = ratios([undisturbed(lambda: timed_round(prepare, watch))])
    return ratio


def versions() -> dict[str, str]:
    """This package and the engines that are installed."""
    found = {"nas-explorer": version("nas-explorer")}
    for name in ENGINES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _begin(log: Path, device: Device, networks: Sequence[Architecture]) -> None:
    unit = calibrate(backend=device.backend, threads=device.threads, seconds=CALIBRATION)
    head = {
        "kind": KIND,
        "format": FORMAT,
        **device.to_dict(),
        "reference_ms": unit,
        "versions": versions(),
        "networks": [arch.to_dict() for arch in networks],
    }
    append_line(log, json.dumps(head))


def _read(log: Path, device: Device) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first line and the rounds that an earlier call has left; a cut last line is dropped."""
    head, *lines = read_lines(log, repair=True) or [{}]
    if head.get("kind") != KIND or head.get("format") != FORMAT:
        raise InputError(f"{log}: expected {KIND} of format {FORMAT}; name another --out")
    found = checked(head, (), (), str(log))
    if difference := found.device.difference(device):
        raise InputError(f"{log}: measured on another device ({difference}); name another --out")
    return head, lines


def _line(job: Job, graph: Graph, device: Device, unit: float) -> dict[str, Any]:
    number, network = job
    line: dict[str, Any] = {"network": network, "round": number}
    try:
        return line | {"ms": time_round(graph, device) * unit}
    except InputError as error:  # the engine cannot run this one
        return line | {"error": str(error)}


def _measurements(head: dict[str, Any], lines: Sequence[dict[str, Any]], log: Path) -> Measurements:
    times: list[list[float]] = [[] for _ in head["networks"]]
    for line in lines:
        if "ms" in line:
            times[line["network"]].append(line["ms"])
    return checked(head, head["networks"], times, str(log))
