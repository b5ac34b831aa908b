"""Which layers arithmetic bounds and which ones memory, and how near to the roof they run.

    attained = 2 · MACs / time                                                       (GFLOP/s)
    bound    = compute where intensity ≥ peak / bandwidth, memory elsewhere

Roofline: Williams, Waterman, Patterson, CACM 2009. The bandwidth is main memory's: a layer above
that roof found its inputs in a cache, where the layer before had left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from nas.analysis.layers import FLOP_PER_MAC, KINDS, LayerCount, count_layers
from nas.analysis.machine import Machine, this_machine
from nas.analysis.times import LayerTimes, layer_times
from nas.graph import Graph

Bound: TypeAlias = Literal["compute", "memory"]
LAYOUT = "layout"  # the kind of the engine's own operators


@dataclass(frozen=True, slots=True)
class Point:
    """A layer under the roof; `ms` is None where the engine fused it into another layer.

    `gflops` and `gbytes` are attained a second, `roof` is the most that its intensity allows in
    GFLOP/s. Time of a fused addition is in the convolution that it was fused into.
    """

    path: str
    kind: str
    macs: int
    traffic_bytes: int
    intensity: float | None
    bound: Bound | None
    ms: float | None
    share: float
    gflops: float | None
    gbytes: float | None
    roof: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """What a kind of layer has of the network's MACs, bytes and time; `gflops` it attains."""

    kind: str
    layers: int
    macs: float
    traffic: float
    time: float
    ms: float
    gflops: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """All layers of a network, `ms` in all, of which `layout_ms` for changes of layout.

    `roof_ms` is the time at the roofs were every layer to take its data from main memory: the sum
    of the slower of arithmetic and memory. Caches can beat it.
    """

    machine: Machine
    points: tuple[Point, ...]
    shares: tuple[Share, ...]
    ms: float
    layout_ms: float
    roof_ms: float
    runs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = asdict(self)
        data["layers"], data["kinds"] = data.pop("points"), data.pop("shares")
        return data


def roofline(graph: Graph, runs: int = 50, machine: Machine | None = None) -> Roofline:
    """Time every layer and hold it against the roofs of this machine, one thread.

    Raises InputError for a network that cannot be written as ONNX.
    """
    machine = machine or this_machine()
    times, layers = layer_times(graph, runs), count_layers(graph)
    points = [_point(layer, times, machine) for layer in layers]
    return Roofline(
        machine=machine,
        points=tuple(points),
        shares=tuple(_shares(points, times)),
        ms=times.total,
        layout_ms=times.layout,
        roof_ms=roof_ms(layers, machine),
        runs=times.runs,
    )


def roof_ms(layers: Sequence[LayerCount], machine: Machine) -> float:
    """Milliseconds at the roofs, layers one after the other."""
    return 1e3 * sum(machine.seconds(layer.macs, layer.traffic_bytes) for layer in layers)


def bound_of(layer: LayerCount, machine: Machine) -> Bound | None:
    """What bounds a layer; None where it is fused and moves nothing."""
    if layer.intensity is None:
        return None
    return "compute" if layer.intensity >= machine.ridge else "memory"


def _point(layer: LayerCount, times: LayerTimes, machine: Machine) -> Point:
    ms = times.layers.get(layer.path)
    rate = 1e-6 / ms if ms else None  # a count becomes 10⁹ a second
    return Point(
        path=layer.path,
        kind=layer.kind,
        macs=layer.macs,
        traffic_bytes=layer.traffic_bytes,
        intensity=layer.intensity,
        bound=bound_of(layer, machine),
        ms=ms,
        share=(ms or 0.0) / times.total,
        gflops=rate and rate * FLOP_PER_MAC * layer.macs,
        gbytes=rate and rate * layer.traffic_bytes,
        roof=None if layer.intensity is None else machine.roof(layer.intensity),
    )


def _shares(points: Sequence[Point], times: LayerTimes) -> list[Share]:
    """One row a kind that occurs, the engine's own operators last."""
    macs, traffic = sum(p.macs for p in points), sum(p.traffic_bytes for p in points)
    rows = []
    for kind in KINDS:
        if own := [p for p in points if p.kind == kind]:
            rows.append(_share(kind, own, macs, traffic, times.total))
    if times.layout:
        share = times.layout / times.total
        rows.append(Share(LAYOUT, 0, 0.0, 0.0, share, times.layout, 0.0))
    return rows


def _share(kind: str, own: Sequence[Point], macs: int, traffic: int, ms: float) -> Share:
    own_ms, own_macs = sum(p.ms or 0.0 for p in own), sum(p.macs for p in own)
    return Share(
        kind=kind,
        layers=len(own),
        macs=own_macs / macs if macs else 0.0,
        traffic=sum(p.traffic_bytes for p in own) / traffic if traffic else 0.0,
        time=own_ms / ms,
        ms=own_ms,
        gflops=FLOP_PER_MAC * own_macs * 1e-6 / own_ms if own_ms else 0.0,
    )
