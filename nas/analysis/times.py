"""The time of every layer of a network, as ONNX Runtime's own profiler reports it."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from nas.graph import Graph
from nas.latency.backends.base import image
from nas.latency.backends.onnx_runtime import load, session_options
from nas.latency.timing import undisturbed

WARM_UP = 5
REORDER = ""  # in place of a path: no layer has an empty one


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """Milliseconds of one image on one thread, medians over `runs` runs.

    `layers` maps a node's path to its time; a layer that the engine fused into another has none.
    `layout` is the time of operators that the engine put in itself to reorder maps between blocked
    channels, which its fast convolutions need, and plain ones.
    """

    layers: Mapping[str, float]
    layout: float
    runs: int

    @property
    def total(self) -> float:
        """Of all operators, without what the engine does between them."""
        return sum(self.layers.values()) + self.layout


def layer_times(graph: Graph, runs: int = 50) -> LayerTimes:
    """Time every layer of a network with random weights, batch 1, one thread.

    Raises InputError for a network that cannot be written as ONNX.
    """
    from nas.onnx_model import to_onnx

    model = to_onnx(graph).SerializeToString()
    events = undisturbed(lambda: _profile(model, graph, WARM_UP + runs))
    layers: dict[str, float] = defaultdict(float)
    for path, ms in _by_layer(_medians(events, skip=WARM_UP), graph):
        layers[path] += ms
    layout = layers.pop(REORDER, 0.0)
    return LayerTimes(dict(layers), layout, runs)


def _by_layer(operators: Mapping[str, float], graph: Graph) -> Iterator[tuple[str, float]]:
    """(path or REORDER, milliseconds) of every operator, in the order of execution.

    An operator is named path/part; fused ones keep a name of theirs, the last may have the
    output's. What has no path, such as the parts of an hswish taken apart, follows its layer.
    """
    known = {node.path for node in graph.nodes}
    before = graph.nodes[0].path
    for name, ms in operators.items():
        path = name.removeprefix("fused ").partition("/")[0]
        if name.startswith("Reorder") and path not in known:
            yield REORDER, ms
            continue
        if name.startswith("scores"):
            path = graph.nodes[-1].path
        before = path if path in known else before
        yield before, ms


def _profile(model: bytes, graph: Graph, runs: int) -> list[dict[str, Any]]:
    """All events of `runs` runs, in Chrome's trace format."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(threads=1)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session, feed = load(model, options), {"image": image(graph)}
        for _ in range(runs):
            session.run(None, feed)
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    return events


def _medians(events: Iterable[Mapping[str, Any]], skip: int) -> dict[str, float]:
    """Operator → median milliseconds, the first `skip` runs left out."""
    times: dict[str, list[float]] = defaultdict(list)
    for name, microseconds in _kernels(events):
        times[name].append(microseconds / 1e3)
    return {name: median(ms[skip:]) for name, ms in times.items()}


def _kernels(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            yield event["name"], event["dur"]
