"""`nas latency bundle`: what another device needs to be measured, in a folder to copy there.

    bundle/
        measure.py        needs onnxruntime and numpy only; says in its first lines how to run it
        bundle.json       the networks' architectures
        reference.onnx    the network that all others are timed beside
        networks/         000.onnx, 001.onnx, …

The files hold no weights but how to fill them, 45 kB a network instead of megabytes: an engine
folds the constants when it loads a file, and then runs the very kernels that it runs for a network
with weights. Time depends on shapes alone.
"""

from __future__ import annotations

import json
from importlib.resources import files
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.graph import Graph
from nas.latency.measurements import read_measurements
from nas.latency.reference import reference
from nas.latency.sample import sample_networks
from nas.latency.sealed import FORMAT
from nas.latency.table import DeviceTable
from nas.onnx_model import to_onnx

NETWORKS = 300
SMALL = 64  # numbers of a tensor that is kept as it is


def write_bundle(out: str | Path, *, networks: int = NETWORKS, seed: int = 0) -> list[Architecture]:
    """Write the folder, which must not exist; returns the architectures in it."""
    folder = Path(out)
    if folder.exists():
        raise InputError(f"{folder}: exists; name another --out")
    (folder / "networks").mkdir(parents=True)
    archs = sample_networks(networks, seed)
    for i, arch in enumerate(archs):
        _write(trace(arch), folder / "networks" / f"{i:03}.onnx")
    _write(reference(), folder / "reference.onnx")
    script = files("nas.latency").joinpath("on_device.py").read_text(encoding="utf-8")
    (folder / "measure.py").write_text(script, encoding="utf-8")
    listed = {"format": FORMAT, "networks": [arch.to_dict() for arch in archs]}
    (folder / "bundle.json").write_text(json.dumps(listed) + "\n", encoding="utf-8")
    return archs


def import_table(measurements: str | Path, out: str | Path) -> DeviceTable:
    """Make the table of a device from its measurements.json; raises InputError."""
    table = DeviceTable.fit(read_measurements(measurements))
    table.save(out)
    return table


def _write(graph: Graph, path: Path) -> None:
    path.write_bytes(without_weights(to_onnx(graph)).SerializeToString())


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its tensors filled by operators; its activations stay in range."""
    graph = model.graph
    operators, tensors = list(graph.node), list(graph.initializer)
    del graph.node[:], graph.initializer[:]
    for tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT and prod(tensor.dims) >= SMALL:
            dims = np.array(tensor.dims, np.int64)
            graph.initializer.append(numpy_helper.from_array(dims, f"{tensor.name}.dims"))
            graph.node.append(_fill(tensor))
        else:
            graph.initializer.append(tensor)
    graph.node.extend(operators)
    return model


def _fill(tensor: onnx.TensorProto) -> onnx.NodeProto:
    """One value for all numbers of a tensor: a filter's mean of its inputs, a vector's first."""
    first = float(numpy_helper.to_array(tensor).flat[0])
    value = 1 / prod(tensor.dims[1:]) if len(tensor.dims) > 1 else first
    constant = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
    return helper.make_node(
        "ConstantOfShape", [f"{tensor.name}.dims"], [tensor.name], tensor.name, value=constant
    )
