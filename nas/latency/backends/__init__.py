"""The inference engines that a network can be timed by, a file each.

One's own engine joins by an entry in BACKENDS.
"""

from __future__ import annotations

from importlib.util import find_spec

from nas.errors import InputError
from nas.latency.backends.base import Backend, Weights, image
from nas.latency.backends.cuda import Cuda
from nas.latency.backends.executorch import ExecuTorch
from nas.latency.backends.int8 import OnnxRuntimeInt8
from nas.latency.backends.onnx_runtime import OnnxRuntime
from nas.latency.backends.openvino import OpenVino
from nas.latency.backends.pytorch import Torch
from nas.latency.stopwatch import Run

__all__ = ["BACKENDS", "Backend", "Run", "Weights", "find_backend", "image"]

BACKENDS: dict[str, Backend] = {
    "onnxruntime": OnnxRuntime(),
    "onnxruntime-int8": OnnxRuntimeInt8(),
    "openvino": OpenVino("f32"),
    "openvino-bf16": OpenVino("bf16"),
    "executorch": ExecuTorch(),
    "torch": Torch(),
    "cuda": Cuda(),
}
# Back end → the package that it needs, which is the name of its extra too
EXTRAS = {"openvino": "openvino", "openvino-bf16": "openvino", "executorch": "executorch"}


def find_backend(name: str) -> Backend:
    """The engine of that name; raises InputError for an unknown one and one not installed."""
    if name not in BACKENDS:
        raise InputError(f"backend: unknown {name!r}; known are {', '.join(BACKENDS)}")
    if name in EXTRAS and find_spec(EXTRAS[name]) is None:
        raise InputError(
            f"backend {name}: {EXTRAS[name]} is not installed; "
            f"pip install 'nas-explorer[{EXTRAS[name]}]'"
        )
    return BACKENDS[name]
