"""ONNX Runtime on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.graph import Graph
from nas.latency.backends.base import Weights, image
from nas.latency.stopwatch import Run, Stopwatch, caller_time, wall_time


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """ONNX Runtime in fp32, its default graph optimisations on."""

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        from nas.onnx_model import to_onnx

        return session(to_onnx(graph, weights).SerializeToString(), graph, threads)

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time


def session(model: bytes, graph: Graph, threads: int) -> Run:
    """A serialised model of the graph in ONNX Runtime."""
    loaded, feed = load(model, session_options(threads)), {"image": image(graph)}
    return lambda: loaded.run(None, feed)[0]


def load(model: bytes, options: Any) -> Any:
    """An inference session on the CPU."""
    import onnxruntime as ort

    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_options(threads: int) -> Any:
    """Under which all timings are taken."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Or the threads of one network would spin on while the other one is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
