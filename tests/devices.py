"""Latencies for tests that time nothing: of a device that we make up, and recorded ones."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np

from nas.arch import Architecture, trace
from nas.graph import Graph
from nas.latency import DeviceTable
from nas.latency.device import Device
from nas.latency.features import kernels_of
from nas.latency.measurements import Measurements
from nas.latency.sample import sample_networks
from nas.reference import load

# Nanoseconds of a call, a multiply–accumulate, a weight, a number read or written, …
RATES = np.array([800, 0.02, 0.15, 0.1, 0.1, 4, 0.3, 20])
SLOW = {"depthwise": 3.0, "grouped.plain": 2.0}  # kinds that take so many times as long
HERE = Device.here("onnxruntime", 1)
PHONE = Device("onnxruntime", 1, "Phone")
RECORDED = Path(__file__).parent.parent / "benchmarks" / "latency_estimator.json.gz"


@cache
def sampled(count: int, seed: int = 0) -> tuple[Graph, ...]:
    """Random networks of all families."""
    return tuple(trace(arch) for arch in sample_networks(count, seed))


def device_ms(graph: Graph, lanes: int = 16) -> float:
    """The network's milliseconds on the device."""
    found = kernels_of(graph, lanes)
    factors = np.array([SLOW.get(kind, 1.0) for kind in found.kinds])
    return float((found.work @ RATES) @ factors / 1e6)


def noisy(graphs: tuple[Graph, ...], share: float, lanes: int = 16, seed: int = 0) -> list[float]:
    """The same as a stopwatch would have it."""
    noise = np.exp(share * np.random.default_rng(seed).standard_normal(len(graphs)))
    return [device_ms(g, lanes) * n for g, n in zip(graphs, noise, strict=True)]


@cache
def table_of(device: Device, count: int = 60) -> DeviceTable:
    """A table of the device under another name."""
    archs = tuple(sample_networks(count))
    rounds = tuple((ms,) for ms in noisy(tuple(map(trace, archs)), 0.02))
    return DeviceTable.fit(Measurements(device, 1.5, {"nas-explorer": "0"}, archs, rounds))


@cache
def recorded() -> dict[str, list[tuple[Graph, float]]]:
    """What benchmarks/latency_estimator.py measured: set → networks and their milliseconds."""
    sets = defaultdict(list)
    for row in json.loads(gzip.decompress(RECORDED.read_bytes()))["networks"]:
        name = row["network"]
        graph = load(name) if isinstance(name, str) else trace(Architecture.from_dict(name))
        sets[row["set"]].append((graph, median(row["ms"])))
    return dict(sets)
