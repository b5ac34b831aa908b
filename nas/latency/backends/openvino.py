"""OpenVINO on the CPU; the extra `openvino` installs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nas.errors import InputError
from nas.graph import Graph
from nas.latency.backends.base import Weights, image
from nas.latency.stopwatch import Run, Stopwatch, caller_time, wall_time


@dataclass(frozen=True, slots=True)
class OpenVino:
    """OpenVINO set for latency; left alone it would choose the precision by the processor."""

    precision: Literal["f32", "bf16"]

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        import openvino

        from nas.onnx_model import to_onnx

        core = openvino.Core()
        self._check(core)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": self.precision,
            "CPU_DENORMALS_OPTIMIZATION": True,
        }
        model = core.read_model(to_onnx(graph, weights).SerializeToString())
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        request.set_input_tensor(openvino.Tensor(image(graph)))
        scores = request.get_output_tensor().data

        def run() -> Any:
            request.infer()
            return scores

        return run

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time  # a single stream runs in its caller

    def _check(self, core: Any) -> None:
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision == "bf16" and "BF16" not in able:  # it would fall back in silence
            raise InputError(
                "backend openvino-bf16: this processor has no bf16 arithmetic; use openvino"
            )
