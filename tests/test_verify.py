"""fvcore against our counts, layer by layer."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from cases import CASES, SIZE, mobilenet_v2
from torch import nn

from nas.arch import trace
from nas.cost import cost
from nas.errors import InputError
from nas.graph import Graph, record
from nas.layers import Conv
from nas.net import build
from nas.verify import CostMismatch, fvcore_macs, measure_module, verify


@pytest.mark.parametrize("graph", CASES.values(), ids=CASES)
def test_fvcore_agrees_on_every_layer(graph):
    verify(graph)


def test_fvcore_agrees_on_mobilenet_v2():
    graph = trace(mobilenet_v2())
    verify(graph)
    assert fvcore_macs(build(graph), graph.input) == cost(graph).macs == 300_774_272


def network() -> Graph:
    return record(SIZE, lambda x: x.conv(8, 3, name="a").conv(4, name="b").global_pool().linear(2))


def test_a_wrong_layer_is_named_and_the_others_are_not():
    module = build(network())
    module.b = nn.Conv2d(8, 4, 3, padding=1, bias=False)
    with pytest.raises(CostMismatch) as error:
        verify(network(), module)
    message = str(error.value)
    assert "b: MACs: expected 4,576, got 41,184" in message
    assert "b: parameters: expected 40, got 288" in message
    assert "in all: MACs" in message
    assert "a:" not in message and "linear:" not in message


def test_a_wrong_count_is_caught():
    graph = network()
    layer = Conv(16, 8, (3, 3), 1, (1, 1), 1, False, True, "relu")
    object.__setattr__(layer, "weights", layer.weights + 1)  # a cost that is off by one a position
    wrong = Graph((graph.items[0], (layer, *graph.items[1][1:]), *graph.items[2:]))
    with pytest.raises(CostMismatch, match=r"a: MACs: expected 164,879, got 164,736"):
        verify(wrong, build(graph))


def test_weights_that_no_layer_has_are_found():
    module = build(network())
    module.extra = nn.Conv2d(1, 1, 1)
    with pytest.raises(CostMismatch, match="in all: parameters"):
        verify(network(), module)


def test_nothing_is_left_changed_or_said(caplog, capfd):
    module = build(network())
    module.a.eval()
    before = {name: part.training for name, part in module.named_modules()}
    statistics = module.b.norm.running_mean.clone()
    filters = list(warnings.filters)
    levels = {name: logging.getLogger(name).level for name in ("", "fvcore.nn.jit_analysis")}
    verify(network(), module)
    assert {name: part.training for name, part in module.named_modules()} == before
    assert torch.equal(module.b.norm.running_mean, statistics)
    assert warnings.filters == filters
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert not caplog.records and capfd.readouterr() == ("", "")


class Attention(nn.Module):
    """A user's module: a convolution, and a scale for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.scale = nn.Parameter(torch.ones(2 * channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.reduce(x)) * self.scale


def test_a_users_module_is_measured_once():
    layer = measure_module(Attention, (4, 9, 9))
    assert layer.out == (8, 5, 5)
    assert layer.params == 8 * 4 * 9 + 8 + 2 * 8 + 8
    assert layer.measured_macs == 8 * 4 * 9 * 25
    assert measure_module(Attention, (4, 9, 9)) is layer
    graph = record((3, 9, 9), lambda x: x.conv(4).module(Attention, "mine").conv(5))
    assert graph.output == (5, 5, 5)
    verify(graph)


class Flat(nn.Flatten):
    def __init__(self, channels: int) -> None:
        super().__init__()


def number(channels: int) -> int:
    return channels


def test_a_module_that_cannot_be_used_is_refused():
    with pytest.raises(InputError, match=r"test_verify:Flat: expected \(1, c, h, w\) .* \(1, 8\)"):
        measure_module(Flat, (2, 2, 2))
    with pytest.raises(InputError, match="number: expected a torch module, got int"):
        measure_module(number, (2, 2, 2))
    with pytest.raises(InputError, match="<lambda>: expected a function or a class at the top"):
        measure_module(lambda c: nn.BatchNorm2d(c), (2, 2, 2))


def test_measuring_leaves_the_random_state():
    before = torch.get_rng_state()
    measure_module(Attention, (3, 4, 4))
    assert torch.equal(torch.get_rng_state(), before)
