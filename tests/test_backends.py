"""Every back end computes the network that it times, and is asked for by name."""

from __future__ import annotations

import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from cases import FAMILIES, SIZE, mobilenet_v2
from test_onnx_model import trained, weights
from torch import nn

from nas.arch import trace
from nas.blocks import PoolBlock, name_of
from nas.errors import InputError
from nas.graph import Graph, record
from nas.latency import measure
from nas.latency.backends import BACKENDS, EXTRAS, Weights, find_backend, image
from nas.latency.backends.int8 import quantised
from nas.latency.backends.openvino import OpenVino
from nas.latency.timing import undisturbed

pytestmark = pytest.mark.usefixtures("own_lock")
GRAPHS = {
    name_of(block): record(SIZE, partial(block, width=SIZE[0], stride=2))
    for block in FAMILIES
    if not isinstance(block, PoolBlock)
}
GRAPHS["mobilenet_v2"] = trace(mobilenet_v2(64, classes=10))
# The largest error of an output, as a share of the outputs' standard deviation ...
EXACT = dict.fromkeys(("onnxruntime", "openvino", "executorch", "torch"), 1e-4) | {"cuda": 1e-2}
# ... and of its root mean square: bf16 has 8 bits of mantissa, int8 steps of 1/255 of the range.
ROUNDED = {"openvino-bf16": 0.03, "onnxruntime-int8": 0.2}
ON_CPU = [name for name in BACKENDS if name != "cuda"]


def usable(name: str) -> str:
    """The name, or a skip where this machine cannot run the back end."""
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"needs the extra {EXTRAS[name]}")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    if name == "openvino-bf16":
        import openvino

        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no bf16 arithmetic")
    return name


def scores(name: str, graph: Graph, weights: Weights | None = None) -> np.ndarray:
    """What the second run returns: engines may still choose their kernels in the first."""

    engine = BACKENDS[usable(name)]

    def computed() -> np.ndarray:
        run = engine.prepare(graph, 1, weights)
        run()
        return np.asarray(run().cpu() if name == "cuda" else run()).copy()

    return undisturbed(computed)  # this thread keeps its denormal numbers


def error(name: str, graph: Graph) -> np.ndarray:
    """Of each output, as a share of the outputs' standard deviation."""
    module = trained(graph)
    with torch.inference_mode():
        expected = module(torch.from_numpy(image(graph))).numpy()
    got = scores(name, graph, weights(module))
    assert got.shape == expected.shape
    return (got - expected) / expected.std()


def test_every_back_end_is_compared():
    assert {*EXACT, *ROUNDED} == set(BACKENDS)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("name", EXACT)
def test_computes_what_the_torch_module_does(name, graph):
    assert np.abs(error(name, graph)).max() <= EXACT[name]


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("name", ROUNDED)
def test_computes_the_same_but_rounded(name, graph):
    found = np.sqrt(np.mean(error(name, graph) ** 2))
    assert 1e-4 < found <= ROUNDED[name]  # were it exact, another precision would be timed


@pytest.mark.parametrize("name", ON_CPU)
def test_random_weights_give_finite_ordinary_numbers(name):
    out = scores(name, GRAPHS["mobilenet_v2"])
    assert out.shape == (1, 10)
    assert np.isfinite(out).all() and 1e-3 < out.std() < 1e4


@pytest.mark.parametrize("name", ON_CPU)
def test_one_thread_works_in_its_caller(name):
    """So that its CPU time is the network's."""

    engine = BACKENDS[usable(name)]

    def share() -> float:
        run = engine.prepare(GRAPHS["mobilenet_v2"], 1)
        run()
        caller, process = time.thread_time(), time.process_time()
        for _ in range(50):
            run()
        return (time.thread_time() - caller) / (time.process_time() - process)

    assert undisturbed(share) > 0.9


@pytest.mark.parametrize("name", BACKENDS)
def test_a_measurement_leaves_the_process_as_it_was(name):
    threads = torch.get_num_threads()
    latency = measure(GRAPHS["fire"], backend=usable(name), seconds=0.1, blocks=2)
    assert 0 < latency.low <= latency.latency_ms <= latency.high
    assert (latency.backend, latency.threads) == (name, 1)
    assert torch.get_num_threads() == threads
    assert torch.tensor(1e-40) * 1 > 0  # a denormal number


def test_several_threads():
    latency = measure(GRAPHS["fire"], threads=2, seconds=0.1, blocks=2)
    assert latency.threads == 2 and latency.cpu_ms > 0


def test_torch_times_modules_of_ones_own():
    graph = record(SIZE, lambda x: x.module(nn.BatchNorm2d, "mine").global_pool())
    assert measure(graph, backend="torch", seconds=0.1, blocks=2).latency_ms > 0
    with pytest.raises(InputError, match=r"mine: .* is a user's torch module"):
        measure(graph)


def test_int8_networks_hold_int8_weights():
    model = onnx.load_from_string(quantised(GRAPHS["conv"]))
    onnx.checker.check_model(model, full_check=True)
    kinds = {constant.data_type for constant in model.graph.initializer if len(constant.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8}
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}


def test_an_unknown_one_is_refused():
    with pytest.raises(InputError, match="unknown 'tpu'; known are onnxruntime, onnxruntime-int8"):
        find_backend("tpu")


@pytest.mark.parametrize(("name", "extra"), EXTRAS.items())
def test_one_that_is_not_installed_names_its_extra(name, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)  # as if it were not
    advice = rf"not installed; pip install 'nas-explorer\[{extra}\]'"
    with pytest.raises(InputError, match=f"backend {name}: {extra} is {advice}"):
        measure(GRAPHS["fire"], backend=name)


def test_one_that_the_machine_cannot_run_is_refused():
    core = SimpleNamespace(get_property=lambda device, name: ["FP32", "INT8"])
    with pytest.raises(InputError, match="openvino-bf16: this processor has no bf16 arithmetic"):
        OpenVino("bf16")._check(core)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="backend cuda: torch sees no CUDA device here"):
            measure(GRAPHS["fire"], backend="cuda")
