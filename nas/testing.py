"""What every block must satisfy; one line in the tests of a block of your own.

from nas.testing import check_block

def test_plain():
    check_block(Plain(kernel=5))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import yaml

from nas.arch import Architecture, Stage
from nas.blocks import BLOCKS, Block, Classifier, ConvBlock
from nas.errors import InputError
from nas.graph import Graph, Tensor, record
from nas.layers import Module, Shape

if TYPE_CHECKING:
    import torch
    from torch import nn

SHAPES: tuple[Shape, ...] = ((16, 32, 32), (24, 17, 17))
BATCH = 4


class BlockError(AssertionError):
    """A block breaks a rule; the message is one sentence with block, shapes and what is right."""


def check_block(
    block: Block,
    *,
    inputs: Iterable[Shape] = SHAPES,
    widths: Iterable[int] = (16, 24, 48),
    strides: Iterable[int] = (1, 2),
) -> None:
    """Check a block at every input (channels, height, width), output width and stride.

    It must be frozen, hashable and registered data that YAML brings back; keep its promise of width
    and stride; record the same layers at every resolution, those with weights under names of their
    own; and be a torch module that fvcore counts alike, that learns, and that scores an image
    whatever the others of its batch. Raises BlockError.
    """
    inputs, widths, strides = tuple(inputs), tuple(widths), tuple(strides)
    _check_data(block)
    for case in (_Case(block, *at) for at in product(inputs, widths, strides)):
        graph = case.trace()
        _check_shape(case, graph)
        _check_wiring(case, graph)
        _check_names(case, graph)
        _check_module(case, graph)
    _check_yaml(block, inputs[0], widths[-1], strides[-1])


@dataclass(frozen=True, slots=True)
class _Case:
    block: Block
    input: Shape
    width: int
    stride: int

    def __str__(self) -> str:
        size = "x".join(map(str, self.input))
        return f"{self.block}: {size} to {self.width} channels, stride {self.stride}"

    def trace(self, size: Shape | None = None) -> Graph:
        try:
            return record(size or self.input, self._call)
        except Exception as error:  # the block is a user's code
            raise BlockError(f"{self}: {_said(error)}") from error

    def _call(self, x: Tensor) -> Tensor:
        y = self.block(x, self.width, self.stride)
        if not isinstance(y, Tensor):
            raise TypeError(f"expected a nas.graph.Tensor, got {type(y).__name__}")
        return y


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _check_data(block: Any) -> None:
    if isinstance(block, type):
        raise BlockError(f"expected a block, got a class: write {block.__name__}()")
    kind = type(block)
    if not is_dataclass(block) or not kind.__dataclass_params__.frozen:
        raise BlockError(f"{kind.__name__}: a block must be a frozen dataclass")
    if kind not in BLOCKS.values():
        raise BlockError(f"{kind.__name__}: put @nas.block above it, so that YAML can name it")
    try:
        hash(block)
    except TypeError as error:
        raise BlockError(f"{block}: its settings must be hashable, but {error}") from None


def _check_shape(case: _Case, graph: Graph) -> None:
    _, h, w = case.input
    expected = (case.width, -(-h // case.stride), -(-w // case.stride))
    if graph.output != expected:
        raise BlockError(f"{case}: expected an output of {expected}, got {graph.output}")


def _check_wiring(case: _Case, graph: Graph) -> None:
    """The layers must be the same again and at another resolution."""
    c, h, w = case.input
    if _wiring(case.trace()) != _wiring(graph):
        raise BlockError(f"{case}: must record the same layers every time")
    if _wiring(case.trace((c, 2 * h + 1, 2 * w + 1))) != _wiring(graph):
        raise BlockError(f"{case}: must record the same layers at every height and width")


def _wiring(graph: Graph) -> list[Any]:
    """Layers, edges and paths; what a torch module costs changes with the size of its map."""
    layers = [n.layer.factory if isinstance(n.layer, Module) else n.layer for n in graph.nodes[1:]]
    return [(layer, n.inputs, n.path) for layer, n in zip(layers, graph.nodes[1:], strict=True)]


def _check_names(case: _Case, graph: Graph) -> None:
    """Numbers in place of names would change with the layers before, and the weights' names too."""
    found = list(_names(graph))
    times = Counter(name for name, _ in found)
    for name, weighs in found:
        if weighs and times[name] > 1:
            raise BlockError(f"{case}: {times[name]} layers are called {name!r}: give each a name")


def _names(graph: Graph, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every layer's path before those that occur twice are numbered; whether it has weights."""
    for layer, _, _, name in graph.items[1:]:
        if isinstance(layer, Graph):
            yield from _names(layer, prefix + name)
        else:
            yield prefix + name, layer.params > 0


def _check_module(case: _Case, graph: Graph) -> None:
    import torch

    from nas.net import build
    from nas.verify import verify

    try:
        module = build(graph, seed=0)
        verify(graph, module)
        images = torch.randn(BATCH, *case.input, generator=torch.Generator().manual_seed(0))
        _check_learning(case, module, images)
        _check_independence(case, module, images)
    except BlockError:
        raise
    except Exception as error:  # the block may hold a user's modules
        raise BlockError(f"{case}: {_said(error)}") from error


def _check_learning(case: _Case, module: nn.Module, images: torch.Tensor) -> None:
    import torch

    out = module.train()(images)
    if not out.isfinite().all():
        raise BlockError(f"{case}: the output must be finite")
    if out.requires_grad:  # a plain sum would have no gradient behind a batch norm
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    for name, parameter in module.named_parameters():
        if parameter.grad is None:
            raise BlockError(f"{case}: {name} must get a gradient, or it never learns")
        if not parameter.grad.isfinite().all():
            raise BlockError(f"{case}: the gradient of {name} must be finite")


def _check_independence(case: _Case, module: nn.Module, images: torch.Tensor) -> None:
    import torch

    module.eval()
    others = torch.cat([images[:1], 2 * images[1:] + 1])
    with torch.no_grad():
        first, again = module(images)[0], module(others)[0]
    if not torch.allclose(first, again, rtol=1e-4, atol=1e-5):
        raise BlockError(
            f"{case}: in evaluation mode the other images of a batch must not change the output"
        )


def _check_yaml(block: Block, size: Shape, width: int, stride: int) -> None:
    arch = Architecture(
        input=(3, *size[1:]),
        stem=Stage(ConvBlock(), depth=1, width=size[0]),
        stages=(Stage(block, depth=1, width=width, stride=stride),),
        head=Classifier(),
        classes=10,
    )
    try:
        again = Architecture.from_dict(yaml.safe_load(arch.to_yaml()))
    except (yaml.YAMLError, InputError) as error:
        reason = " ".join(map(str, error.args))
        raise BlockError(f"{block}: YAML must bring its settings back, but {reason}") from None
    if again != arch or again.id != arch.id:
        raise BlockError(f"{block}: YAML brings back other settings: {again.stages[0].block}")
