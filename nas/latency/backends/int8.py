"""ONNX Runtime on the CPU, quantised to eight bits."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.graph import Graph
from nas.latency.backends.base import Weights
from nas.latency.backends.onnx_runtime import session
from nas.latency.stopwatch import Run, Stopwatch, caller_time, wall_time

IMAGES = 4  # that show the ranges of the activations


@dataclass(frozen=True, slots=True)
class OnnxRuntimeInt8:
    """ONNX Runtime's static quantisation: uint8 activations, int8 weights with a scale a channel.

    The ranges are those of standard normal images; time does not depend on them.
    """

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        model = _random(graph) if weights is None else quantised(graph, weights)
        return session(model, graph, threads)

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time


class _Images:
    """What ONNX Runtime's calibration reads: one feed after the other, then None."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._feeds = iter([{"image": x[None]} for x in images])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._feeds, None)


def quantised(
    graph: Graph, weights: Weights | None = None, images: NDArray[np.float32] | None = None
) -> bytes:
    """The serialised model between QuantizeLinear and DequantizeLinear (QDQ) operators.

    `images` (n, c, h, w) show the ranges of the activations; standard normal ones by default.
    """
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_static

    from nas.onnx_model import to_onnx

    if images is None:
        images = np.random.default_rng(1).standard_normal((IMAGES, *graph.input), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        plain, shaped, small = (
            Path(folder, f"{name}.onnx") for name in ("plain", "shaped", "int8")
        )
        plain.write_bytes(to_onnx(graph, weights).SerializeToString())
        quant_pre_process(plain, shaped, skip_optimization=True, skip_symbolic_shape=True)
        unsigned = QuantType.QUInt8  # the fastest on x86; the default is signed
        quantize_static(shaped, small, _Images(images), per_channel=True, activation_type=unsigned)
        return small.read_bytes()


# It takes seconds, and every round needs the candidate and the reference again.
_random = lru_cache(maxsize=2)(quantised)
