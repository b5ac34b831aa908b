"""The shared network: a part of it is exactly the network that stands alone with its weights."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.arch import STAGE_KEYS, Architecture, Stage, trace
from nas.blocks import Classifier, ConvBlock, block
from nas.blocks.base import BLOCKS
from nas.cost import cost
from nas.graph import concat
from nas.layers import Concat, Conv, Shuffle, Slice
from nas.net import build
from nas.shared.depthwise import small_depthwise
from nas.shared.layout import Outgrown
from nas.shared.network import SharedNetwork
from nas.shared.slices import state_dict
from nas.shared.slots import Made, Slots, outgoing
from nas.shared.survey import layout_of, survey
from nas.space import Space
from nas.space_file import load_space, parse_space

OURS = {name for name, cls in BLOCKS.items() if cls.__module__.startswith("nas.blocks")}
FAMILIES = sorted(OURS - {"pool", "identity"})  # these have no weights
IMAGES = torch.linspace(-2, 2, 4 * 3 * 16 * 16).reshape(4, 3, 16, 16).sin()


def mixed(*families: str, **settings) -> Space:
    """Two stages, of which most settings of a block are to choose."""
    defaults = {
        "block": {"choice": list(families)},
        "kernel": {"choice": [3, 5]},
        "expansion": {"choice": [1, 2, 3]},
        "groups": {"choice": [1, 2, 4]},
        "ratio": {"choice": [2, 3, 4]},
        "attention": {"choice": ["none", "se", "cbam"]},
        "squeeze": {"choice": [0.25, 0.5]},
        "depth": {"int": [1, 2]},
        "stride": 2,
    }
    read = {field.name for family in families for field in fields(BLOCKS[family])}
    defaults = {k: v for k, v in defaults.items() if k in read or k in STAGE_KEYS}
    widths = [{"width": {"choice": [16, 24]}}, {"width": {"choice": [24, 32, 40]}}]
    data = {
        "stem": {"block": "conv", "width": {"choice": [8, 16]}, "stride": 1},
        "defaults": defaults | {k: v for k, v in settings.items() if k in defaults},
        "stages": widths,
        "head": {"head": "classifier", "width": {"choice": [32, 64]}},
    }
    return parse_space(data, "mixed", name="mixed").bind(resolution=32, classes=10)


def sample(space: Space, count: int) -> list[Architecture]:
    rng = random.Random(1)
    return [space.architecture(space.sample(rng)) for _ in range(count)]


def differs(network: SharedNetwork, arch: Architecture) -> float:
    """The largest difference to the network that stands alone with the same weights."""
    module = build(trace(arch), seed=5)
    own = state_dict(network.layout, network.state_dict(), arch)
    assert own.keys() == dict(module.named_parameters()).keys()
    module.load_state_dict(module.state_dict() | own)
    with torch.no_grad():
        return float((network(IMAGES, arch) - module(IMAGES)).abs().max())


# A part of it is a network ------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_part_computes_what_stands_alone_with_its_weights(family):
    space = mixed(family)
    network = SharedNetwork(survey(space), seed=0)
    for arch in sample(space, 5):
        assert differs(network, arch) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_is_the_largest_network(family):
    """A space of one network keeps that network's weights, and each of them is used."""
    space = mixed(family, depth=2, kernel=3, groups=1, ratio=2, attention="none")
    (arch,) = sample(space, 1)
    layout = layout_of([arch])
    network = SharedNetwork(layout, seed=0)
    assert differs(network, arch) < 1e-4
    network(IMAGES, arch).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    if family not in ("shuffle_v1", "shuffle_v2", "ghost"):  # where a block sees half of its input
        assert layout.params == cost(arch).params


def test_families_share_a_stem_and_a_head():
    space = mixed("conv", "fire", "ghost", "inception", "shuffle_v2", attention="none")
    network = SharedNetwork(survey(space), seed=0)
    for arch in sample(space, 10):
        assert differs(network, arch) < 1e-4
    stems = {key for key in network.keys if key.startswith(("stem", "head"))}
    assert stems == {"stem/conv/conv", "head/classifier/conv", "head/classifier/classifier"}


@pytest.mark.parametrize("name", ["tiny", "nas_bench_macro", "shufflenet_v1"])
def test_the_survey_of_a_space_holds_its_architectures(name):
    space = load_space(name).bind(classes=10)
    layout = survey(space)
    for arch in sample(space, 100):
        assert len(list(layout.plans(arch))) >= 2


def test_an_architecture_beyond_the_space_is_refused():
    arch = Architecture((3, 32, 32), Stage(ConvBlock(), 1, 8), (), Classifier(), 10)
    layout = layout_of([arch])
    wide = replace(arch, stem=Stage(ConvBlock(), 1, 16))
    with pytest.raises(Outgrown, match=r"stem\.conv: conv/weight needs \(16, 3, 3, 3\).*keeps \(8"):
        list(layout.plans(wide))


# Slots --------------------------------------------------------------------------------------------


def test_slots_by_hand():
    x, y = Slots((0, 1), 4), Slots((0, 2, 5), 6)
    assert outgoing(Concat("channels"), None, x, y) == Slots((0, 1, 4, 6, 9), 10)
    assert outgoing(Slice(1, 3), None, y) == Slots((2, 5), 6)
    assert outgoing(Shuffle(2), None, Slots((0, 1, 4, 5), 8)) == Slots((0, 4, 1, 5), 8)
    depthwise = Conv(2, 4, (3, 3), 1, (1, 1), 2, False, True, None)
    assert outgoing(depthwise, Made(3, each=True), x) == Slots((0, 4, 1, 5), 12)
    dense = Conv(2, 3, (1, 1), 1, (0, 0), 1, False, True, None)
    assert outgoing(dense, Made(8), x) == Slots((0, 1, 2), 8)


@block(name="shared_test_branches")
@dataclass(frozen=True)
class Branches:
    """Two branches, of which only some channels are wanted, and nothing that mixes channels."""

    def __call__(self, x, width, stride):
        left = x.conv(width // 2, bias=True, norm=False, name="left").depthwise(3, norm=False)
        right = x.conv(width // 2, bias=True, norm=False, name="right")
        y = concat(left, right).shuffle(2).slice(0, width - 2)
        return y.conv(width, bias=True, norm=False, name="out")


def test_the_rest_of_the_largest_network_at_zero_leaves_the_narrow_one():
    """Slots are places in the largest network: with all others' weights zero, it is the part."""
    data = {
        "stem": {"block": "conv", "norm": False, "width": {"choice": [4, 8]}},
        "defaults": {"block": "shared_test_branches"},
        "stages": [{"width": {"choice": [8, 16]}}, {"width": {"choice": [8, 12, 16]}}],
        "head": {"head": "classifier"},
    }
    space = parse_space(data, "zero", name="zero").bind(resolution=32, classes=10)
    layout = survey(space)
    network, zeroed = SharedNetwork(layout, seed=0), SharedNetwork(layout, seed=0)
    largest = space.architecture({p: v.values[-1] for p, v in space.parameters.items()})
    narrow = space.architecture({p: v.values[0] for p, v in space.parameters.items()})
    network(IMAGES, narrow).sum().backward()
    for kept, found in zip(zeroed.parameters(), network.parameters(), strict=True):
        used = torch.zeros_like(kept) if found.grad is None else (found.grad != 0).to(kept)
        kept.data.mul_(used)
    ours = network(IMAGES, narrow)
    if layout.shapes["stages/0/0/shared_test_branches/out"]["conv/weight"][1] != 16:
        pytest.fail("the slice forgets how large its input is")
    assert torch.allclose(zeroed(IMAGES, largest), ours, atol=1e-5)


# A person's own -----------------------------------------------------------------------------------


class Gain(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.tanh(self.mix(self.norm(x)))


@block(name="shared_test_gain")
@dataclass(frozen=True)
class GainBlock:
    """A torch module in a block."""

    def __call__(self, x, width, stride):
        return x.conv(width, 1, stride).module(Gain)


def test_a_torch_module_has_weights_of_its_own():
    space = mixed("shared_test_gain")
    layout = survey(space)
    assert {own.channels for own in layout.modules.values()} == {16, 24, 32, 40}
    network = SharedNetwork(layout, seed=0)
    for arch in sample(space, 4):
        module = build(trace(arch), seed=5)
        own = state_dict(layout, network.state_dict(), arch)
        assert own.keys() >= dict(module.named_parameters()).keys()
        module.load_state_dict(module.state_dict() | own)
        assert torch.allclose(module(IMAGES), network(IMAGES, arch), atol=1e-5)


# Small maps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 5)], ids=str)
def test_the_gradients_of_small_depthwise_maps(side, stride, kernel):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, side, side + 1, generator=generator).requires_grad_()
    weight = torch.randn(4, 1, *kernel, generator=generator).requires_grad_()
    padding = kernel[0] // 2, kernel[1] // 2
    expected = F.conv2d(x, weight, None, stride, padding, 1, 4)
    found = small_depthwise(x, weight, stride, padding)
    assert torch.equal(found, expected)
    up = torch.randn(expected.shape, generator=generator)
    for ours, torchs in zip(
        torch.autograd.grad(found, (x, weight), up),
        torch.autograd.grad(expected, (x, weight), up),
        strict=True,
    ):
        assert torch.allclose(ours, torchs, atol=1e-5)
