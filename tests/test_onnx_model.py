"""ONNX models against the torch modules of the same graphs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from cases import CASES, SIZE, mobilenet_v2
from torch import nn

from nas.arch import trace
from nas.blocks import InvertedResidual
from nas.errors import InputError
from nas.graph import Graph, Tensor, record
from nas.net import build
from nas.onnx_model import to_onnx


def trained(graph: Graph) -> nn.Module:
    """A module whose batch norms and biases are as unlike 1 and 0 as trained ones."""
    module = build(graph, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in module.state_dict().items():
        if tensor.ndim == 1:
            low, high = (0.5, 1.5) if name.endswith(("norm.weight", "running_var")) else (-0.5, 0.5)
            tensor.uniform_(low, high, generator=generator)
    return module


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": image})[0]


def images(graph: Graph, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((batch, *graph.input), dtype=np.float32)


def assert_equal(graph: Graph, batch: int | None = 1) -> None:
    module = trained(graph)
    model = to_onnx(graph, weights(module), batch=batch)
    onnx.checker.check_model(model, full_check=True)
    x = images(graph, batch or 3)
    with torch.inference_mode():
        expected = module(torch.from_numpy(x)).numpy()
    got = run(model, x)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_every_block_computes_the_same(graph):
    assert_equal(graph)


def test_mobilenet_v2_computes_the_same():
    assert_equal(trace(mobilenet_v2(96, classes=100)))


@pytest.mark.parametrize("batch", [2, None])
def test_batches(batch):
    assert_equal(trace(mobilenet_v2(32, classes=10)), batch)


def vectors(x: Tensor) -> Tensor:
    gate = x.global_pool("max").linear(4, act="silu").linear(16, bias=False).norm(scale=False)
    return x.norm().scale(gate.activate("clamp")).global_pool().dropout(0.5)


def windows(x: Tensor) -> Tensor:
    x = x.pool("avg", 3, 2, ceil=True, count_padding=False).pool("avg", 2, 2, padding=1, ceil=True)
    return x.pool("max", 3, 2, padding=0, ceil=True) * 0.25


@pytest.mark.parametrize("network", [vectors, windows])
def test_what_no_block_uses(network):
    assert_equal(record((16, 14, 11), network))


def test_random_weights_give_finite_ordinary_numbers():
    graph = trace(mobilenet_v2(64, classes=100))
    model = to_onnx(graph)
    onnx.checker.check_model(model, full_check=True)
    out = run(model, images(graph))
    assert out.shape == (1, 100)
    assert np.isfinite(out).all() and 1e-3 < out.std() < 1e3
    for constant in model.graph.initializer:
        array = onnx.numpy_helper.to_array(constant)
        if array.dtype == np.float32:
            small = np.finfo(np.float32).tiny
            assert not ((array != 0) & (np.abs(array) < small)).any(), constant.name


def test_the_seed_decides():
    graph = record(SIZE, lambda x: InvertedResidual()(x, 16, 1))
    first, again, other = (to_onnx(graph, seed=seed).SerializeToString() for seed in (0, 0, 1))
    assert first == again != other


def test_operators_carry_the_paths():
    model = to_onnx(trace(mobilenet_v2(32)))
    names = [node.name for node in model.graph.node]
    assert "stages.1.0.expand/conv" in names and "stages.1.1.add/out" in names
    kinds = {node.op_type for node in model.graph.node}
    assert kinds == {"Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
    assert model.ir_version <= 10 and model.opset_import[0].version <= 21  # ONNX Runtime 1.20


def test_bad_weights_are_named():
    graph = record(SIZE, lambda x: x.conv(8, name="first"))
    good = weights(build(graph))
    missing = {name: array for name, array in good.items() if name != "first.norm.running_mean"}
    with pytest.raises(InputError, match=r"weights: first\.norm\.running_mean is missing"):
        to_onnx(graph, missing)
    with pytest.raises(InputError, match=r"first\.conv\.weight: expected the shape \(8, 16, 1, 1"):
        to_onnx(graph, good | {"first.conv.weight": np.zeros((8, 3, 1, 1))})


def test_a_users_module_is_refused():
    graph = record(SIZE, lambda x: x.module(nn.BatchNorm2d, "mine"))
    with pytest.raises(InputError, match=r"mine: .*BatchNorm2d.* is a user's torch module"):
        to_onnx(graph)


def test_torch_is_not_imported():
    code = "import sys, nas.onnx_model; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
