"""Exact costs: published figures, fvcore's counts, and a naive simulation of the memory."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from functools import reduce
from operator import add

import pytest
import torch
from cases import CASES, mobilenet_v2
from fvcore.nn import ActivationCountAnalysis

from nas.arch import trace
from nas.blocks import ConvBlock
from nas.cost import BYTES, Cost, cost, layer_cost
from nas.graph import Graph, Tensor, concat, fragment, record
from nas.layers import Activate, Add, Dropout, Multiply, Norm, elements
from nas.net import build
from nas.reference import load
from nas.space_file import load_space, space_names

MOBILE = load_space("mobile")
NETWORKS = ["mobilenet_v3_large", "shufflenet_v2_x1_0", "googlenet", "ghostnet_x1_0"]


def mobile(seed: int, resolution: int = 224) -> Graph:
    space = MOBILE.bind(resolution=resolution)
    return trace(space.architecture(space.sample(random.Random(seed))))


def test_mobilenet_v2_costs_what_its_paper_says():
    found = cost(trace(mobilenet_v2()))
    assert (found.params, found.macs) == (3_504_872, 300_774_272)
    assert found.size == 4 * 3_504_872
    # The widest moment is the second stage's first block: 96 channels of 112x112, twice: the
    # expanded map and, a quarter as large, what the depthwise layer of stride 2 makes of it.
    assert found.memory == 4 * 96 * (112 * 112 + 56 * 56)


@pytest.mark.parametrize("name", space_names())
def test_an_architecture_costs_what_its_graph_does(name):
    space, rng = load_space(name), random.Random(1)
    for _ in range(30):
        arch = space.architecture(space.sample(rng))
        assert cost(arch) == cost(trace(arch))


def test_an_architecture_that_cannot_be_traced_says_where():
    arch = replace(mobilenet_v2(), input=(3, 1, 1))
    wide = replace(arch.stages[2], block=ConvBlock(kernel=7, padding="valid"))
    with pytest.raises(ValueError, match=r"stages\.2\.0: ValueError: a map of 1x1 is too small"):
        cost(replace(arch, stages=(*arch.stages[:2], wide, *arch.stages[3:])))


# The convention by hand --------------------------------------------------------------------------


def test_every_count_by_hand():
    def network(x: Tensor) -> Tensor:
        y = x.conv(8, 3, bias=True, norm=False)  # 4·8·9 + 8 weights, 8·5·6 outputs
        y = y.pool("max", 2, 2, padding=0)  # 8·2·3 outputs
        return y.global_pool().linear(10).activate("relu")  # 8, 80 + 10 weights, 10

    found = cost(record((4, 5, 6), network))
    assert found == Cost(
        macs=288 * 30 + 80,
        params=296 + 90,
        activations=240 + 10,
        traffic=4 * ((120 + 296 + 240) + (240 + 48) + (48 + 8) + (8 + 90 + 10)),
        memory=4 * (120 + 240),
    )


def test_costs_add_up_and_the_larger_memory_counts():
    assert Cost(1, 2, 3, 4, 5) + Cost(10, 20, 30, 40, 2) == Cost(11, 22, 33, 44, 5)


@pytest.mark.parametrize(
    "network",
    [
        lambda x: x.activate("relu"),
        lambda x: x.norm(),
        lambda x: x.dropout(0.5),
        lambda x: x * 0.1,
    ],
)
def test_what_an_engine_fuses_moves_nothing(network):
    plain = cost(record((4, 5, 5), lambda x: x.conv(8)))
    fused = cost(record((4, 5, 5), lambda x: network(x.conv(8))))
    for metric in ("macs", "activations", "traffic", "memory"):
        assert getattr(fused, metric) == getattr(plain, metric), metric


# fvcore ------------------------------------------------------------------------------------------


def fvcore_activations(graph: Graph) -> int:
    module = build(graph, seed=0).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = ActivationCountAnalysis(module, torch.zeros(1, *graph.input))
        analysis.unsupported_ops_warnings(False).tracer_warnings("none")
        return int(analysis.total())


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_fvcores(name):
    graph = load(name, resolution=64)
    assert cost(graph).activations == fvcore_activations(graph)


@pytest.mark.parametrize("seed", range(5))
def test_activations_of_mobile_are_fvcores(seed):
    graph = mobile(seed, resolution=64)
    assert cost(graph).activations == fvcore_activations(graph)


# Memory and sums, layer by layer -----------------------------------------------------------------

IN_PLACE = (Add, Activate, Norm, Multiply, Dropout)  # fused into the layer before, or the sum


def simulated_memory(graph: Graph) -> int:
    """Every tensor is kept from its layer to its last reader; the largest sum, in bytes."""
    nodes = graph.nodes
    last = {i: max((k for k, n in enumerate(nodes) if i in n.inputs), default=len(nodes))
            for i in range(len(nodes))}  # fmt: skip
    sizes = [elements(node.shape) for node in nodes]
    peak = 0
    for i, node in enumerate(nodes):
        held = [j for j in range(i) if last[j] >= i]
        overwrites = isinstance(node.layer, IN_PLACE) and any(last[j] == i for j in node.inputs)
        peak = max(peak, sum(sizes[j] for j in held) + (0 if overwrites else sizes[i]))
    return BYTES * peak


@pytest.mark.parametrize("seed", range(50))
def test_memory_of_mobile_is_that_of_a_simulation(seed):
    graph = mobile(seed)
    assert cost(graph).memory == simulated_memory(graph)


@pytest.mark.parametrize("name", [*NETWORKS, "inception_resnet_v2", "xception", "squeezenet1_0"])
def test_memory_of_published_networks_is_that_of_a_simulation(name):
    graph = load(name)
    assert cost(graph).memory == simulated_memory(graph)


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_memory_of_every_block_is_that_of_a_simulation(graph):
    assert cost(graph).memory == simulated_memory(graph)


@fragment
def _branches(x: Tensor) -> Tensor:
    return concat(x.conv(8, name="a"), x.conv(8, 3, name="b"))


def _inner_keeps(x: Tensor) -> Tensor:
    return x + _branches(x, name="f").conv(x.channels)


def _inner_may_drop(x: Tensor) -> Tensor:
    return _branches(x.conv(32), name="f").conv(4)


def _same_twice(x: Tensor) -> Tensor:
    y = x.conv(32)
    return (y + y).conv(4)


def _nested(x: Tensor) -> Tensor:
    return fragment(_inner_keeps)(x, name="outer") + x


@pytest.mark.parametrize("network", [_inner_keeps, _inner_may_drop, _same_twice, _nested])
def test_memory_across_fragments(network):
    graph = record((4, 5, 5), network)
    assert cost(graph).memory == simulated_memory(graph)


@pytest.mark.parametrize(
    "graph", [*map(mobile, range(5)), *map(load, NETWORKS)], ids=[*"01234", *NETWORKS]
)
def test_costs_of_layers_add_up_to_the_cost(graph):
    total = reduce(add, (layer_cost(graph, node) for node in graph.nodes))
    found = cost(graph)
    for metric in ("macs", "params", "activations", "traffic", "size"):
        assert getattr(total, metric) == getattr(found, metric), metric
    assert total.memory <= found.memory


def test_resolution_scales_macs_and_leaves_params():
    small, large = (cost(load("mobilenet_v2_x1_0", resolution=n)) for n in (128, 256))
    assert small.params == large.params
    classifier = 1280 * 1000
    assert large.macs - classifier == 4 * (small.macs - classifier)
