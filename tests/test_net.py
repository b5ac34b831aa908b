"""The torch module of a graph: shapes, names, weights, gradients."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from cases import CASES, SIZE, mobilenet_v2
from torch import nn

from nas.arch import trace
from nas.blocks import Classifier, ConvClassifier, Ghost
from nas.graph import Graph, Tensor, concat, record
from nas.layers import Conv, Layer, Shape
from nas.net import build


@pytest.fixture(scope="module")
def network():
    return trace(mobilenet_v2(64, classes=10))


def image(shape: Shape, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_every_block_has_its_shape_and_a_gradient_everywhere(graph):
    module = build(graph, seed=0)
    x = image(graph.input)
    kept = x.clone()
    out = module(x.requires_grad_())
    assert out.shape == (2, *graph.output)
    # A plain sum has no gradient behind a batch norm.
    (out * image(graph.output)).sum().backward()
    assert torch.equal(x, kept), "the network overwrote the caller's image"
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_one_module_runs_at_every_resolution(network):
    module = build(network, seed=0).eval()
    for size in (32, 64, 96):
        assert module(image((3, size, size))).shape == (2, 10)


@pytest.mark.parametrize("name", [n for n in CASES if "cbam" in n and n.endswith("to24-s2")])
def test_a_block_runs_at_every_resolution(name):
    module = build(CASES[name], seed=0)
    assert module(image((16, 20, 24))).shape == (2, 24, 10, 12)


def test_paths_name_submodules_and_weights(network):
    module = build(network, seed=0)
    for node in network.nodes:
        if isinstance(node.layer, Conv):
            part = module.get_submodule(node.path)
            expected = ["conv"] + ["norm"] * node.layer.norm + ["act"] * bool(node.layer.act)
            assert [name for name, _ in part.named_children()] == expected
    assert module.state_dict()["stages.1.0.expand.conv.weight"].shape == (96, 16, 1, 1)
    assert module.state_dict()["head.classifier.linear.weight"].shape == (10, 1280)
    assert sum(p.numel() for p in module.parameters()) == sum(n.layer.params for n in network.nodes)


def test_the_code_reads_as_python():
    graph = record(SIZE, lambda x: (x + x.conv(16)).shuffle(2).slice(0, 8))
    code = build(graph).code
    assert "add = image + conv" in code
    assert "permute.unflatten(3, (2, -1))" in code


def test_a_seed_fixes_the_weights_and_leaves_the_random_state(network):
    before = torch.get_rng_state()
    first, again, other = (build(network, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.conv.weight"], other["stem.conv.conv.weight"])


def test_without_a_seed_torch_decides(network):
    weights = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            torch.manual_seed(3)
            weights.append(build(network).state_dict()["head.classifier.linear.weight"])
        weights.append(build(network).state_dict()["head.classifier.linear.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_initialisation():
    def net(x: Tensor) -> Tensor:
        x = x.conv(64, 3, bias=True).depthwise(5).conv(128, groups=4)
        return x.global_pool().linear(256)

    module = build(record((32, 8, 8), net), seed=0)
    for name, fan_out in {"conv": 64 * 9, "depthwise": 64 * 25, "conv_1": 128}.items():
        std = module.get_submodule(name).conv.weight.std().item()
        assert std == pytest.approx((2 / fan_out) ** 0.5, rel=0.05), name
    assert module.linear.linear.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not module.conv.conv.bias.any() and not module.linear.linear.bias.any()
    assert module.conv.norm.weight.eq(1).all() and not module.conv.norm.bias.any()


@pytest.mark.parametrize(
    "head",
    [Classifier(), Classifier(width=24, hidden=12, dropout=0.5), ConvClassifier(dropout=0.0)],
)
def test_scores_are_a_matrix(head):
    graph = record(SIZE, lambda x: head(x, 10))
    assert build(graph)(image(SIZE)).shape == (2, 10)


def test_a_vector_may_become_a_gate():
    def net(x: Tensor) -> Tensor:
        return x.scale(x.global_pool().linear(4, act="relu").linear(16).activate("sigmoid"))

    assert build(record(SIZE, net))(image(SIZE)).shape == (2, *SIZE)


def test_gradients_are_right_where_activations_overwrite():
    def net(x: Tensor) -> Tensor:
        left, right = x.slice(0, 2), x.slice(2, 4)  # views of one tensor
        both = concat(left.activate("relu"), right.activate("relu6")).activate("relu")
        y = (x + both).activate("relu")
        z = x + y
        return concat(z.activate("relu"), z, y).pool("avg", 3, 2).activate("hswish")

    module = build(record((4, 5, 5), net)).double()
    x = image((4, 5, 5), batch=1).double().requires_grad_()
    assert torch.autograd.gradcheck(module, x)


def test_norm_follows_a_map_or_a_vector():
    def net(x: Tensor) -> Tensor:
        return (x.norm(name="map") * 0.5).global_pool().linear(6, bias=False).norm(scale=False)

    graph = record(SIZE, net)
    module = build(graph, seed=0)
    assert module(image(SIZE)).shape == (2, 6)
    assert module.norm.weight is None
    assert sum(p.numel() for p in module.parameters()) == sum(n.layer.params for n in graph.nodes)


def test_shuffle_is_torchs():
    x = image(SIZE)
    shuffled = build(record(SIZE, lambda x: x.shuffle(4)))(x)
    assert torch.equal(shuffled, nn.functional.channel_shuffle(x, 4))


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("shuffle_v2()")])
def test_channels_last_stays(name):
    module = build(CASES[name], seed=0).to(memory_format=torch.channels_last)
    x = image(SIZE).contiguous(memory_format=torch.channels_last)
    assert module(x).is_contiguous(memory_format=torch.channels_last)


def test_clamp_is_a_gate():
    x = image(SIZE)
    assert torch.equal(build(record(SIZE, lambda x: x.activate("clamp")))(x), x.clamp(0, 1))


def test_a_users_module_is_a_submodule():
    graph = record(SIZE, lambda x: x.module(nn.BatchNorm2d, "mine").conv(8))
    module = build(graph)
    assert isinstance(module.mine, nn.BatchNorm2d)
    assert module(image(SIZE)).shape == (2, 8, 13, 11)


def test_copies_and_pickles():
    module = build(record(SIZE, lambda x: Ghost()(x, 16, 1)), seed=0).eval()
    x = image(SIZE)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), module(x))


def test_a_layer_without_lowering_is_named():
    @dataclass(frozen=True)
    class Unknown(Layer):
        pass

    graph = Graph((*record(SIZE, lambda x: x.conv(8)).items, (Unknown(), (1,), SIZE, "odd")))
    with pytest.raises(TypeError, match=r"odd: no torch lowering of .*Unknown"):
        build(graph)


def test_names_that_torch_cannot_take_are_refused():
    with pytest.raises(ValueError, match="half: torch modules have an attribute"):
        build(record(SIZE, lambda x: x.conv(8, name="half")))

    def nested(x: Tensor) -> Tensor:
        return x.conv(8, name="body").conv(8, name="body.inner")

    with pytest.raises(ValueError, match=r"body\.inner: .* lies within the layer body"):
        build(record(SIZE, nested))


def test_an_image_may_be_a_vector():
    assert build(record((4, 1, 1), lambda x: x.linear(2)))(image((4, 1, 1))).shape == (2, 2)
