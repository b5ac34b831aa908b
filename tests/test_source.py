"""Networks written as Python: equal scores, the graph's names, and text that reads well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cases import CASES, mobilenet_v2
from test_onnx_model import trained
from torch import nn

from nas import reference
from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.exporting.source import to_python
from nas.graph import Graph, Tensor, concat, record


def loaded(text: str) -> nn.Module:
    """The Network of a source text; it is our own."""
    space = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec"), space)
    return space["Network"]().eval()


def assert_equal(graph: Graph, arch: Architecture | None = None) -> str:
    module = trained(graph)
    text = to_python(graph, "network", arch)
    network = loaded(text)
    network.load_state_dict(module.state_dict())  # the names are the graph's
    x = torch.randn(2, *graph.input, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        got, expected = network(x), module(x)
    assert got.shape == expected.shape
    assert float((got - expected).abs().max()) <= 1e-5 * float(expected.std())
    return text


SOME = dict(list(CASES.items())[::3])  # of every block with every option


@pytest.mark.parametrize("graph", SOME.values(), ids=SOME)
def test_every_block_computes_the_same(graph):
    assert_equal(graph)


SIDES = {"xception": 71}
NAMES = ["googlenet", "bn_inception", "squeezenet1_1", "shufflenet_v1_g3_x0_5", "ghostnet_x0_5"]
NAMES += ["shufflenet_v2_x0_5", "mobilenet_v3_small_x0_35", "mobilenet_v2_x0_35_cifar"]


@pytest.mark.parametrize("name", [*SIDES, *NAMES])
def test_published_networks_compute_the_same(name):
    network, side = reference.published(name), SIDES.get(name, 64)
    text = assert_equal(network.graph(side, 10), network.architecture(side, 10))
    assert max(map(len, text.splitlines())) <= 100


def vectors(x: Tensor) -> Tensor:
    gate = x.global_pool("max").linear(4, act="silu").linear(16, bias=False).norm(scale=False)
    return x.norm().scale(gate.activate("clamp")).global_pool().dropout(0.5)


def scattered(x: Tensor) -> Tensor:
    """Layers whose names share a beginning and that lie apart, or are read from outside."""
    y = x.conv(8, name="a.first")
    z = y.conv(8, name="b.0").conv(8, act="clamp", name="b.1")
    return concat(y.conv(8, name="a.second"), z, x.slice(4, 12)) * 0.5


def numbered(x: Tensor) -> Tensor:
    """A residual block of Inception-ResNet: branches without names, and more than a fork."""
    long = x.conv(8, (1, 3), name="block.1.first").conv(8, (3, 1), name="block.1.second")
    y = concat(x.conv(8, name="block.0.conv"), long, name="block.concat")
    return (x + y.conv(16, norm=False, bias=True, act=None, name="block.project")).activate("relu")


@pytest.mark.parametrize("network", [vectors, scattered, numbered])
def test_what_no_block_uses(network):
    assert_equal(record((16, 14, 11), network))


def test_it_reads_like_the_paper():
    arch = mobilenet_v2()
    text = to_python(trace(arch), "MobileNetV2", arch)
    block = "InvertedResidualB(64, 64, expand_width=384, residual=True)"
    assert f"*({block} for _ in range(3))," in text
    assert "        return x + y if self.residual else y\n" in text
    assert text.startswith(
        '"""MobileNetV2: 3 × 224 × 224 → 1000.\n\n3,504,872 parameters; 300,774,'
    )
    assert "shuffle" not in text and "import torch\n" not in text  # only what it needs
    assert len(text.splitlines()) < 160


def test_a_name_cannot_leave_the_docstring():
    graph = record((3, 8, 8), lambda x: x.conv(4))
    text = to_python(graph, 'x"""\nimport os\\')
    assert text.startswith('"""ximport os: 3 × 8 × 8')
    loaded(text)


def test_it_needs_torch_alone(tmp_path: Path):
    graph = reference.load("shufflenet_v2_x0_5", resolution=32, classes=10)
    module = trained(graph)
    x = torch.randn(2, *graph.input, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.save({"x": x, "y": module(x), "state": module.state_dict()}, tmp_path / "case.pt")
    (tmp_path / "network.py").write_text(to_python(graph, "shufflenet"), encoding="utf-8")
    code = (
        "import sys; sys.modules['nas'] = None\n"  # an import of it would fail
        "import torch; from network import Network\n"
        "case = torch.load('case.pt', weights_only=True)\n"
        "network = Network().eval(); network.load_state_dict(case['state'])\n"
        "with torch.inference_mode(): d = (network(case['x']) - case['y']).abs().max()\n"
        "sys.exit(float(d) > 1e-5)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_users_module_is_refused():
    graph = record((3, 8, 8), lambda x: x.module(nn.BatchNorm2d, "mine"))
    with pytest.raises(InputError, match=r"BatchNorm2d.* is a user's torch module"):
        to_python(graph, "network")
