"""The conformance suite: it passes what is right, and says what is wrong in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from cases import FAMILIES
from torch import nn

from nas.arch import Architecture, trace
from nas.blocks import BLOCKS, PoolBlock, block, name_of
from nas.cost import cost
from nas.graph import Tensor, record
from nas.net import build
from nas.testing import BlockError, check_block
from nas.verify import fvcore_macs, verify


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Blocks that a test registers are gone after it."""
    before = dict(BLOCKS)
    yield
    BLOCKS.clear()
    BLOCKS.update(before)


@dataclass(frozen=True)
class Plain:
    """A user's block."""

    kernel: int = 3

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        y = x.conv(width, self.kernel, stride, name="mix").conv(width, act=None, name="project")
        return (x + y if y.shape == x.shape else y).activate("relu")


def check(cls: type, *settings: Any) -> None:
    """Register and check, as a user's tests do."""
    check_block(block(cls)(*settings))


def refused(cls: type, *settings: Any) -> str:
    with pytest.raises(BlockError) as error:
        check(cls, *settings)
    return str(error.value)


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_the_library_passes_its_own_suite(family):
    if isinstance(family, PoolBlock):
        check_block(family, inputs=[(16, 32, 32), (16, 17, 17)], widths=[16])
    else:
        check_block(family)


def test_a_users_block_passes_and_may_be_written_in_yaml():
    check(Plain, 5)
    stage = {"block": "plain", "width": 8, "kernel": 5}
    arch = Architecture.from_dict(
        {
            "input": [3, 16, 16],
            "stem": {"block": "conv", "width": 8},
            "stages": [stage],
            "head": {"head": "classifier"},
            "classes": 2,
        }
    )
    assert arch.stages[0].block == Plain(5)
    verify(trace(arch))


class Squeeze(nn.Module):
    """A user's torch module: each channel scaled by a function of the map's mean."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.conv(x.mean((2, 3), keepdim=True)))


@dataclass(frozen=True)
class Escape:
    """A block around a torch module."""

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor:
        return x.conv(width, 3, stride).module(Squeeze, "squeeze")


def test_a_block_around_a_torch_module_passes_and_costs_what_fvcore_counts():
    check(Escape)
    graph = record((16, 8, 8), lambda x: Escape()(x, 24, 2))
    assert cost(graph).macs == fvcore_macs(build(graph), graph.input)
    assert cost(graph).macs == 16 * 24 * 9 * 4 * 4 + 24 * 24
    assert cost(graph).params == 16 * 24 * 9 + 2 * 24 + 24 * 24 + 24


# What is wrong, and what is said -----------------------------------------------------------------


@dataclass(frozen=True)
class Narrow(Plain):
    def __call__(self, x, width, stride):
        return x.conv(width // 2, 3, stride)


@dataclass(frozen=True)
class Unpadded(Plain):
    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride, padding=0)


@dataclass(frozen=True)
class Nothing(Plain):
    def __call__(self, x, width, stride):
        x.conv(width, 3, stride)


@dataclass(frozen=True)
class Misfit(Plain):
    def __call__(self, x, width, stride):
        return x + x.conv(width, 3, stride)


@dataclass(frozen=True)
class Nameless(Plain):
    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride).conv(width)


@dataclass(frozen=True)
class Wholemap(Plain):
    def __call__(self, x, width, stride):
        deep = x.shape[1] < 32
        y = x.conv(width, 3, stride, name="a")
        return y.conv(width, name="b") if deep else y


CALLS = []


@dataclass(frozen=True)
class Moody(Plain):
    def __call__(self, x, width, stride):
        CALLS.append(width)
        return x.conv(width, 3 if len(CALLS) % 2 else 5, stride)


@dataclass(frozen=True)
class Listed(Plain):
    kernels: list[int] = field(default_factory=lambda: [3])


@dataclass(frozen=True)
class Pairs(Plain):
    pair: tuple[int, int] = (3, 3)


@dataclass(frozen=True)
class Reserved(Plain):
    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride, name="forward")


class OverBatch(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x - x.mean(0, keepdim=True))


class Detached(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x).detach()


class Infinite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) / 0


class Rooted(nn.Module):
    """The root's slope at zero is infinite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return (y - y.detach()).abs().sqrt()


class Fickle(nn.Module):
    """Another network at each call."""

    made = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        Fickle.made += 1
        grown = Fickle.made > 1
        self.conv = nn.Conv2d(channels, channels, 1 + 2 * grown, padding=int(grown))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


@dataclass(frozen=True)
class Modular:
    factory: type

    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride).module(self.factory, "mine")


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (
            Narrow,
            "Narrow(kernel=3): 16x32x32 to 16 channels, stride 1: "
            "expected an output of (16, 32, 32), got (8, 32, 32)",
        ),
        (Unpadded, "expected an output of (16, 32, 32), got (16, 30, 30)"),
        (Nothing, "stride 1: TypeError: expected a nas.graph.Tensor, got NoneType"),
        (
            Misfit,
            "16x32x32 to 16 channels, stride 2: "
            "ValueError: add expects equal shapes, but got (16, 32, 32) and (16, 16, 16)",
        ),
        (Nameless, "stride 1: 2 layers are called 'conv': give each a name"),
        (
            Wholemap,
            "24x17x17 to 16 channels, stride 1: "
            "must record the same layers at every height and width",
        ),
        (Moody, "must record the same layers every time"),
        (Listed, "its settings must be hashable, but unhashable type: 'list'"),
        (Pairs, "YAML must bring its settings back, but architecture: stages.0.pair"),
        (Reserved, "forward: torch modules have an attribute of that name already"),
    ],
)
def test_what_is_wrong_is_said(cls, said):
    message = refused(cls)
    assert said in message
    assert message.startswith(cls.__name__) and "\n" not in message


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (OverBatch, "in evaluation mode the other images of a batch must not change the output"),
        (Detached, "mine.conv.weight must get a gradient, or it never learns"),
        (Infinite, "the output must be finite"),
        (Rooted, "the gradient of conv.conv.weight must be finite"),
        (Fickle, "mine: MACs: expected 262,144, got 2,359,296"),
        (
            nn.BatchNorm2d,
            "YAML must bring its settings back, but cannot represent an object",
        ),
    ],
)
def test_what_is_wrong_with_a_torch_module_is_said(factory, said):
    assert said in refused(Modular, factory)


def test_a_class_a_thawed_block_and_an_unregistered_one_are_refused():
    @dataclass
    class Thawed:
        def __call__(self, x, width, stride):
            return x

    with pytest.raises(BlockError, match=r"expected a block, got a class: write Plain\(\)"):
        check_block(Plain)
    with pytest.raises(BlockError, match="Thawed: a block must be a frozen dataclass"):
        check_block(Thawed())
    with pytest.raises(BlockError, match=r"Plain: put @nas\.block above it"):
        check_block(Plain())


def test_the_first_broken_case_is_named():
    @block
    @dataclass(frozen=True)
    class Odd:
        def __call__(self, x, width, stride):
            return x.conv(width if width != 24 else 25, 3, stride)

    with pytest.raises(BlockError, match="24x9x9 to 24 channels, stride 2"):
        check_block(Odd(), inputs=[(24, 9, 9)], widths=[8, 24], strides=[2])
