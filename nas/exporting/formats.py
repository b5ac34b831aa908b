"""The formats: how a network is written, and how the file is read back and run."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from nas.errors import InputError
from nas.exporting.subject import Subject
from nas.latency.backends import find_backend

Array: TypeAlias = NDArray[np.float32]
Scores: TypeAlias = Callable[[Array], Array]  # images (1, c, h, w) → scores (1, classes)


@dataclass(frozen=True, slots=True)
class Format:
    """`write` returns all files that it wrote, the one that was asked for first.

    `backend` times the network; `tolerance` bounds the largest difference to torch's scores, in
    standard deviations of these; `batch` is how many images it takes at once, 'any' or 1.
    """

    suffix: str
    backend: str
    write: Callable[[Subject, Path], tuple[Path, ...]]
    read: Callable[[Path, Subject], Scores]
    batch: int | str = 1
    tolerance: float | None = 1e-3


def find_format(name: str, int8: bool) -> Format:
    """The format of a name; raises InputError for an unknown one and one that is not installed."""
    if name not in FORMATS:
        raise InputError(f"--format {name!r}: expected one of {', '.join(FORMATS)}")
    if int8 and name != "onnx":
        raise InputError(f"--int8: expected with --format onnx, got {name}")
    found = INT8 if int8 else FORMATS[name]
    find_backend(found.backend)  # says which extra is missing
    return found


# ONNX --------------------------------------------------------------------------------------------


def _write_onnx(subject: Subject, path: Path) -> tuple[Path, ...]:
    from nas.onnx_model import to_onnx

    path.write_bytes(to_onnx(subject.graph, subject.weights).SerializeToString())
    return (path,)


def _write_int8(subject: Subject, path: Path) -> tuple[Path, ...]:
    from nas.latency.backends.int8 import quantised

    path.write_bytes(quantised(subject.graph, subject.weights, subject.calibration))
    return (path,)


def _read_onnx(path: Path, subject: Subject) -> Scores:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run(None, {"image": image})[0])


# PyTorch -----------------------------------------------------------------------------------------


def _write_pt2(subject: Subject, path: Path) -> tuple[Path, ...]:
    image = torch.zeros(2, *subject.graph.input)  # a batch of one would be taken for a constant
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(subject.module, (image,), dynamic_shapes=(batch,))
    torch.export.save(program, path)
    return (path,)


def _read_pt2(path: Path, subject: Subject) -> Scores:
    return _scores(torch.export.load(path).module())


def _write_python(subject: Subject, path: Path) -> tuple[Path, ...]:
    from nas.exporting.source import to_python

    text = to_python(subject.graph, subject.name, subject.architecture)
    path.write_text(text, encoding="utf-8")
    if not subject.weighted:
        return (path,)
    weights = path.with_suffix(".safetensors")
    state = {k: v.contiguous() for k, v in subject.module.state_dict().items()}
    weights.write_bytes(safetensors.torch.save(state))
    return path, weights


def _read_python(path: Path, subject: Subject) -> Scores:
    """The class Network of the file, which is our own, with the subject's weights."""
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network().eval()
    network.load_state_dict(subject.module.state_dict())
    return _scores(network)


def _scores(network: Callable[[torch.Tensor], torch.Tensor]) -> Scores:
    def scores(image: Array) -> Array:
        with torch.inference_mode():
            found: Array = network(torch.from_numpy(image)).numpy()
        return found

    return scores


# ExecuTorch --------------------------------------------------------------------------------------


def _write_executorch(subject: Subject, path: Path) -> tuple[Path, ...]:
    from nas.latency.backends.executorch import lowered

    path.write_bytes(lowered(subject.graph, subject.weights))
    return (path,)


def _read_executorch(path: Path, subject: Subject) -> Scores:
    from nas.latency.backends.executorch import load

    return _scores(load(path, threads=1))


# OpenVINO ----------------------------------------------------------------------------------------


def _write_openvino(subject: Subject, path: Path) -> tuple[Path, ...]:
    import openvino

    from nas.onnx_model import to_onnx

    model = to_onnx(subject.graph, subject.weights).SerializeToString()
    openvino.save_model(openvino.Core().read_model(model), path, compress_to_fp16=False)
    return path, path.with_suffix(".bin")


def _read_openvino(path: Path, subject: Subject) -> Scores:
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # or the processor would decide
    compiled = openvino.Core().compile_model(path, "CPU", exact)
    return lambda image: np.asarray(compiled(image)[0])


FORMATS = {
    "onnx": Format(".onnx", "onnxruntime", _write_onnx, _read_onnx),
    "pt2": Format(".pt2", "torch", _write_pt2, _read_pt2, batch="any"),
    "python": Format(".py", "torch", _write_python, _read_python, batch="any"),
    "openvino": Format(".xml", "openvino", _write_openvino, _read_openvino),
    "executorch": Format(".pte", "executorch", _write_executorch, _read_executorch),
}
# Eight bits differ by as much as they do: the check reports it, and counts equal answers.
INT8 = Format(".onnx", "onnxruntime-int8", _write_int8, _read_onnx, tolerance=None)
