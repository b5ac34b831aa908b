"""Primitive layers against numbers worked out by hand, and the graphs that record them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from cases import CASES
from torch import nn

from nas.arch import Architecture, Stage, graph_id, trace
from nas.blocks import Classifier, ConvBlock, Ghost, InvertedResidual
from nas.cost import cost
from nas.graph import Graph, Node, Tensor, concat, fragment, record
from nas.layers import Conv, Shape, elements
from nas.reference import load

SIZE = (8, 13, 11)


def last(network: Callable[[Tensor], Tensor], size: Shape = SIZE) -> Node:
    return record(size, network).nodes[-1]


def facts(node: Node) -> tuple[Shape, int, int]:
    return node.shape, node.layer.params, node.layer.macs(node.shape)


# Shapes, parameters, MACs ------------------------------------------------------------------------


def test_a_grouped_convolution():
    """11x11 in 3 groups, 3 → 6 channels: each output sees one channel, 6 · 1 · 121 weights."""

    def network(x: Tensor) -> Tensor:
        return x.conv(6, 11, 4, groups=3, padding=2, norm=False, act=None)

    node = last(network, (3, 224, 224))
    assert facts(node) == ((6, 55, 55), 726, 726 * 55 * 55) == ((6, 55, 55), 726, 2_196_150)


@pytest.mark.parametrize(
    ("network", "shape", "params", "macs"),
    [
        # 16·8·9 weights and batch norm's scale and shift; 7·6 positions
        (lambda x: x.conv(16, 3, 2), (16, 7, 6), 1152 + 32, 1152 * 42),
        (lambda x: x.conv(16, 3, 2, norm=False), (16, 7, 6), 1152, 1152 * 42),
        (lambda x: x.conv(16, 3, norm=False, bias=True), (16, 13, 11), 1152 + 16, 1152 * 143),
        (lambda x: x.conv(16, 3, bias=True), (16, 13, 11), 1152 + 16 + 32, 1152 * 143),
        (lambda x: x.conv(16, 3, padding=0), (16, 11, 9), 1152 + 32, 1152 * 99),
        (lambda x: x.conv(16, groups=4), (16, 13, 11), 32 + 32, 32 * 143),
        (lambda x: x.conv(4, (1, 7)), (4, 13, 11), 4 * 8 * 7 + 8, 4 * 8 * 7 * 143),
        (lambda x: x.conv(4, (7, 1), padding=(0, 1)), (4, 7, 13), 4 * 8 * 7 + 8, 4 * 8 * 7 * 91),
        (lambda x: x.depthwise(5, 2), (8, 7, 6), 8 * 25 + 16, 8 * 25 * 42),
        (lambda x: x.depthwise(3, multiplier=2), (16, 13, 11), 16 * 9 + 32, 16 * 9 * 143),
        (lambda x: x.depthwise(3, norm=False), (8, 13, 11), 72, 72 * 143),
        (lambda x: x.global_pool().linear(10), (10, 1, 1), 80 + 10, 80),
        (lambda x: x.global_pool().linear(10, bias=False), (10, 1, 1), 80, 80),
        (lambda x: x.norm(), SIZE, 16, 0),
        (lambda x: x.norm(scale=False), SIZE, 8, 0),
        (lambda x: x.global_pool("max"), (8, 1, 1), 0, 0),
        (lambda x: x.channel_pool("max"), (1, 13, 11), 0, 0),
        (lambda x: x.sum_height(), (8, 1, 11), 0, 0),
        (lambda x: x.activate("relu"), SIZE, 0, 0),
        (lambda x: x * 0.5, SIZE, 0, 0),
        (lambda x: x + x, SIZE, 0, 0),
        (lambda x: x.scale(x.global_pool()), SIZE, 0, 0),
        (lambda x: x.scale(x.channel_pool("avg")), SIZE, 0, 0),
        (lambda x: concat(x, x), (16, 13, 11), 0, 0),
        (lambda x: concat(x, x, x, axis="height"), (8, 39, 11), 0, 0),
        (lambda x: x.slice(2, 5), (3, 13, 11), 0, 0),
        (lambda x: x.shuffle(4), SIZE, 0, 0),
        (lambda x: x.dropout(0.5), SIZE, 0, 0),
    ],
)
def test_a_layer_by_hand(network, shape, params, macs):
    assert facts(last(network)) == (shape, params, macs)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_default_padding_keeps_the_size_at_stride_1(kernel, stride):
    height, width = -(-13 // stride), -(-11 // stride)
    for node in (
        last(lambda x: x.conv(4, kernel, stride)),
        last(lambda x: x.depthwise(kernel, stride)),
        last(lambda x: x.pool("avg", kernel, stride)),
    ):
        assert node.shape[1:] == (height, width)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1), (3, 3), (2, 3), (5, 4)])
def test_a_pools_shape_is_torchs(kernel, stride, padding, ceil):
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    for size in range(5, 20):
        node = last(
            lambda x: x.pool("max", kernel, stride, padding=padding, ceil=ceil), (2, size, size + 1)
        )
        assert node.shape == tuple(pool(torch.zeros(2, size, size + 1)).shape)


def test_dropout_of_nothing_and_a_concat_of_one_are_no_layers():
    assert len(record(SIZE, lambda x: concat(x).dropout(0.0).conv(4)).nodes) == 2


def test_elements():
    assert elements((3, 4, 5)) == 60


# Recording ---------------------------------------------------------------------------------------


def test_a_graph_is_nodes_in_order_with_edges_by_index():
    graph = record(SIZE, lambda x: x + x.conv(8, name="a").conv(8, name="b"))
    assert [(node.path, node.inputs) for node in graph.nodes] == [
        ("input", ()),
        ("a", (0,)),
        ("b", (1,)),
        ("add", (0, 2)),
    ]
    assert graph.input == graph.output == SIZE
    assert isinstance(graph.nodes[1].layer, Conv)


def test_names_that_occur_twice_are_numbered():
    graph = record(SIZE, lambda x: x.conv(8).conv(8).conv(8, name="conv_1").conv(8))
    assert [n.path for n in graph.nodes] == ["input", "conv", "conv_1", "conv_1_1", "conv_2"]


@pytest.mark.parametrize(
    "name", ["mobilenet_v2_x1_0", "googlenet", "inception_resnet_v2", "xception", "ghostnet_x1_0"]
)
def test_every_path_is_used_once(name):
    paths = [node.path for node in load(name).nodes]
    assert len(set(paths)) == len(paths)


def test_equal_layers_are_one_object():
    nodes = record(SIZE, lambda x: x.conv(8).conv(8).shuffle(2).shuffle(2)).nodes
    assert nodes[1].layer is nodes[2].layer and nodes[3].layer is nodes[4].layer


def test_the_number_of_nodes():
    """Input, stem; 2 layers at t = 1, else 3, and 10 additions; the head's five less dropout."""
    graph = load("mobilenet_v2_x1_0")
    assert len(graph.nodes) == 2 + 2 + 16 * 3 + 10 + 4
    assert [n.path for n in graph.nodes[-4:]] == [
        "head.conv",
        "head.pool",
        "head.dropout",
        "head.classifier",
    ]


# Fragments ---------------------------------------------------------------------------------------


def _pair(x: Tensor, width: int) -> Tensor:
    return x + x.conv(width, name="a").conv(x.channels, name="b")


pair = fragment(_pair)


def _nested(x: Tensor) -> Tensor:
    x = pair(x, 4, name="first").conv(6, name="between")
    return concat(pair(x, 4, name="second"), x)


nested = fragment(_nested)


def flat(x: Tensor) -> Tensor:
    """What `nested` records, written out."""
    for prefix in ("one", "two"):
        y = x + x.conv(4, name=f"{prefix}.first.a").conv(x.channels, name=f"{prefix}.first.b")
        x = y.conv(6, name=f"{prefix}.between")
        y = x.conv(4, name=f"{prefix}.second.a").conv(6, name=f"{prefix}.second.b")
        x = concat(x + y, x)
    return x


def test_fragments_are_what_they_record():
    graph = record(SIZE, lambda x: nested(nested(x, name="one"), name="two"))
    plain = record(SIZE, flat)
    ours, theirs = ([n.path for n in g.nodes if n.layer.params] for g in (graph, plain))
    assert ours == theirs
    assert [n[:3] for n in graph.nodes] == [n[:3] for n in plain.nodes]  # layer, inputs, shape
    assert graph_id(graph) == graph_id(plain)
    assert cost(graph) == cost(plain)
    assert len(graph.items) == 3


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_a_block_as_a_fragment_is_the_block(graph: Graph):
    """A graph behind another layer, where the fragment's input is not the network's."""
    conv = (Conv(16, 16, (1, 1), 1, (0, 0), 1, False, True, None), (0,), graph.input, "before")
    layer = (graph, (1,), graph.output, "")
    wrapped = Graph((graph.items[0], conv, layer))
    assert [n.path for n in wrapped.nodes[2:]] == [n.path for n in graph.nodes[1:]]
    assert [n.layer for n in wrapped.nodes[2:]] == [n.layer for n in graph.nodes[1:]]
    assert all(
        ours.inputs == tuple(j + 1 for j in theirs.inputs)
        for ours, theirs in zip(wrapped.nodes[2:], graph.nodes[1:], strict=True)
    )


def test_a_fragment_is_recorded_once_for_each_shape_and_settings():
    calls = []

    @fragment
    def counted(x: Tensor, width: int) -> Tensor:
        calls.append((x.shape, width))
        return x.conv(width)

    record(SIZE, lambda x: counted(counted(counted(x, 8), 8), 4))
    assert calls == [(SIZE, 8), (SIZE, 4)]


def test_a_fragment_that_does_nothing_is_nothing():
    same = fragment(lambda x: x)
    graph = record(SIZE, lambda x: same(x, name="same").conv(4))
    assert [node.path for node in graph.nodes] == ["input", "conv"]


def test_an_architecture_is_traced_as_its_blocks_alone_are():
    def network(x: Tensor) -> Tensor:
        x = x.conv(16, 3, 2, act="hswish")
        return Ghost()(InvertedResidual()(x, 24, 2), 24, 1).global_pool().linear(10)

    arch = Architecture(
        input=(3, 32, 32),
        stem=Stage(ConvBlock(activation="hswish"), depth=1, width=16, stride=2),
        stages=(
            Stage(InvertedResidual(), depth=1, width=24, stride=2),
            Stage(Ghost(), depth=1, width=24),
        ),
        head=Classifier(),
        classes=10,
    )
    assert graph_id(trace(arch)) == graph_id(record((3, 32, 32), network))


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x: x.conv(6, groups=4), r"groups must divide.*self.groups=4 .*self.outputs=6"),
        (lambda x: x.conv(9, groups=3), r"groups must divide.*self.groups=3 self.inputs=8"),
        (lambda x: x.conv(4, 15, padding=0), "a map of 13x11 is too small for a kernel of 15x15"),
        (lambda x: x.pool("max", 12, 1, padding=0), "a map of 11 rows or columns is too small"),
        (lambda x: x.linear(4), r"linear expects \(8, 1, 1\), but got \(8, 13, 11\)"),
        (lambda x: x + x.conv(4), r"add expects equal shapes, but got \(8, .*\) and \(4, "),
        (lambda x: x.scale(x), r"scale expects a gate for \(8, 13, 11\), but got \(8, 13, 11\)"),
        (lambda x: concat(x, x.conv(8, 3, 2)), "concat along the channels cannot join"),
        (lambda x: concat(x, x.conv(4), axis="height"), "concat along the height cannot join"),
        (lambda x: x.slice(4, 9), "slice 4:9 does not fit 8 channels"),
        (lambda x: x.slice(4, 4), "slice 4:4 does not fit 8 channels"),
        (lambda x: x.shuffle(3), "shuffle: self.groups=3 does not divide 8 channels"),
    ],
)
def test_what_does_not_fit_is_an_error(network, message):
    with pytest.raises(ValueError, match=message):
        record(SIZE, network)


def test_the_output_is_the_last_layer():
    def network(x: Tensor) -> Tensor:
        y = x.conv(4)
        y.conv(8)
        return y

    with pytest.raises(ValueError, match=r"must be its last layer, but got out\.index=1"):
        record(SIZE, network)


# The torch line ----------------------------------------------------------------------------------


def test_the_core_imports_no_torch():
    modules = "graph, blocks, arch, cost, budget, metrics, space, reference, testing"
    code = "; ".join(f"import nas.{name}" for name in modules.split(", ")) + (
        "; import sys; from nas.space_file import load_space; space = load_space('mobile')"
        "; import random; space.candidate(space.sample(random.Random(0))).id"
        "; nas.reference.load('inception_v3')"
        "; print([name for name in ('torch', 'fvcore', 'onnx', 'optuna') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
