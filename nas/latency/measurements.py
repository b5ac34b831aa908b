"""Times of networks on a device, from which its table is made: measurements.json.

    {"kind": "latency measurements", "format": 1, "backend": …, "threads": 1, "cpu": …,
     "reference_ms": 1.32, "versions": {…}, "networks": [{"arch": {…}, "ms": [2.31, 2.29, 2.35]}]}

`ms` are the rounds in which a network was timed, each of them its time over the reference network's
in the same round, times `reference_ms`. While measuring goes on, a log beside it holds the same,
first a line of all but the times, then a line a round: {"network": 3, "round": 0, "ms": 2.31}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from nas.arch import Architecture
from nas.errors import InputError
from nas.latency.device import Device
from nas.latency.sealed import read_document

KIND = "latency measurements"


@dataclass(frozen=True, slots=True)
class Measurements:
    """Networks and the milliseconds of their rounds on one device."""

    device: Device
    reference_ms: float
    versions: Mapping[str, str]
    networks: tuple[Architecture, ...]
    ms: tuple[tuple[float, ...], ...]

    @property
    def medians(self) -> list[tuple[Architecture, float]]:
        """Each network that was timed, and its milliseconds."""
        pairs = zip(self.networks, self.ms, strict=True)
        return [(arch, median(rounds)) for arch, rounds in pairs if rounds]


def read_measurements(path: str | Path) -> Measurements:
    """Read measurements.json; raises InputError with the place of what is wrong."""
    data = read_document(path, KIND)
    found = data.get("networks")
    if not isinstance(found, list):
        raise InputError(f"{path}: networks: expected a list, got {found!r}")
    times = [_times(entry, f"{path}: networks.{i}") for i, entry in enumerate(found)]
    return checked(data, [entry["arch"] for entry in found], times, str(path))


def checked(
    head: Mapping[str, Any], archs: Sequence[Any], ms: Sequence[Sequence[float]], where: str
) -> Measurements:
    """Measurements of plain data; raises InputError."""
    networks = (
        Architecture.from_dict(arch, f"{where}: networks.{i}.arch") for i, arch in enumerate(archs)
    )
    return Measurements(
        device=Device.from_dict(head, where),
        reference_ms=_time(head.get("reference_ms"), f"{where}: reference_ms"),
        versions=dict(head.get("versions", {})),
        networks=tuple(networks),
        ms=tuple(tuple(rounds) for rounds in ms),
    )


def _times(entry: Any, where: str) -> tuple[float, ...]:
    if not isinstance(entry, dict) or "arch" not in entry:
        raise InputError(f"{where}: expected an arch and its ms, got {entry!r}")
    rounds = entry.get("ms")
    if not isinstance(rounds, list) or not rounds:
        raise InputError(f"{where}.ms: expected the times of its rounds, got {rounds!r}")
    return tuple(_time(ms, f"{where}.ms") for ms in rounds)


def _time(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: expected milliseconds, got {value!r}")
    if not (isfinite(value) and value > 0):
        raise InputError(f"{where}: expected milliseconds above zero, got {value!r}")
    return float(value)
