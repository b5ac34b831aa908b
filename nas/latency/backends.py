"""What runs a network: an inference engine behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from nas.errors import InputError
from nas.graph import Graph

Run: TypeAlias = Callable[[], object]  # one inference of one image


class Backend(Protocol):
    """An inference engine.

    `in_caller` says that with one thread all work is done in the thread that calls `Run`, so
    that its CPU time is the time that a run takes on an idle machine.
    """

    @property
    def in_caller(self) -> bool: ...

    def __hash__(self) -> int: ...

    def prepare(self, graph: Graph, threads: int) -> Run:
        """Compile a network with random weights for one image; the result runs it once."""
        ...


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """ONNX Runtime on the CPU in fp32, its default graph optimisations on."""

    in_caller: bool = True

    def prepare(self, graph: Graph, threads: int) -> Run:
        import numpy as np
        import onnxruntime as ort

        from nas.onnx_model import to_onnx

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        # Or the threads of one network would spin on while the other one is timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session = ort.InferenceSession(
            to_onnx(graph).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(0)
        feed = {"image": rng.standard_normal((1, *graph.input), dtype=np.float32)}
        return lambda: session.run(None, feed)


BACKENDS: dict[str, Backend] = {"onnxruntime": OnnxRuntime()}


def find_backend(name: str) -> Backend:
    """The engine of that name; raises InputError with the known ones."""
    if name not in BACKENDS:
        raise InputError(f"backend: unknown {name!r}; known are {', '.join(BACKENDS)}")
    return BACKENDS[name]
