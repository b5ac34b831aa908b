"""fvcore counts what `nas.cost` says, layer by layer.

fvcore's total includes batch norm and some poolings; what is equal to our MACs, and never merely
close, is its count of the operators conv and linear in evaluation mode, for one image.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from nas.cost import cost
from nas.errors import InputError
from nas.graph import Graph
from nas.layers import Module, Shape
from nas.net import build, threads

OPERATORS = ("conv", "linear")


class CostMismatch(RuntimeError):
    """fvcore or torch counts another number than the graph; the message names each layer."""


def verify(graph: Graph, module: nn.Module | None = None) -> None:
    """Check MACs and parameters of every layer and in all.

    `module` is what `nas.net.build` made of the graph, by default a new one; its submodules'
    training modes stay as they are. Raises CostMismatch.
    """
    if module is None:
        module = build(graph, seed=0)
    macs, params = _fvcore(module, graph.input), _params(module)
    expected = cost(graph)
    wrong = [
        *_differences("MACs", _by_path(graph, "macs"), expected.macs, macs),
        *_differences("parameters", _by_path(graph, "params"), expected.params, params),
    ]
    if wrong:
        raise CostMismatch("the module is not what the graph says:\n  " + "\n  ".join(wrong))


def fvcore_macs(module: nn.Module, input_shape: Shape) -> int:
    """fvcore's multiply–accumulates of convolutions and linear layers for one image (c, h, w)."""
    return _fvcore(module, input_shape)[""]


@lru_cache(maxsize=1024)
def measure_module(factory: Callable[[int], Any], shape: Shape) -> Module:
    """The layer of a user's torch module: built once an input shape (c, h, w), run, counted.

    Raises InputError where the factory cannot be named, or where what it makes does not turn
    (batch, c, h, w) into another map.
    """
    name = _factory_name(factory)
    with torch.random.fork_rng(devices=[]):
        module = factory(shape[0])
    if not isinstance(module, nn.Module):
        raise InputError(f"{name}: expected a torch module, got {type(module).__name__}")
    with _evaluating(module), torch.no_grad():
        out = module(torch.zeros(1, *shape))
    if not (isinstance(out, torch.Tensor) and out.ndim == 4 and len(out) == 1):
        got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(f"{name}: expected (1, c, h, w) from {(1, *shape)}, got {got}")
    params = sum(p.numel() for p in module.parameters())
    _, c, h, w = out.shape
    return Module(factory, (c, h, w), fvcore_macs(module, shape), params)


def _factory_name(factory: Callable[[int], Any]) -> str:
    """module:name; raises InputError where another process could not find it by that."""
    name = f"{factory.__module__}:{getattr(factory, '__qualname__', repr(factory))}"
    if "<" in name:
        raise InputError(f"{name}: expected a function or a class at the top level of a file")
    return name


def _fvcore(module: nn.Module, shape: Shape) -> Counter[str]:
    """Multiply–accumulates by the name of the submodule; the whole is ''."""
    parameter = next(module.parameters(), None)
    device = None if parameter is None else parameter.device
    image = torch.zeros(1, *shape, device=device)
    # fvcore traces with torch.jit, which warns that it is deprecated.
    # A single image is as fast on one thread, and ten times as fast where others use the cores.
    with _evaluating(module), threads(1), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, image).tracer_warnings("none")
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counts = analysis.by_module_and_operator()
    return Counter({name: int(sum(c[op] for op in OPERATORS)) for name, c in counts.items()})


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within; afterwards each submodule is in the mode that it was in."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _params(module: nn.Module) -> Counter[str]:
    """Learnable parameters by the name of the submodule; the whole is ''."""
    return Counter(
        {name: sum(p.numel() for p in part.parameters()) for name, part in module.named_modules()}
    )


def _by_path(graph: Graph, metric: str) -> dict[str, int]:
    """MACs or parameters of the layers that have any."""
    layers = [node for node in graph.nodes if node.layer.counted or node.layer.params]
    if metric == "params":
        return {node.path: node.layer.params for node in layers}
    return {node.path: node.layer.macs(node.shape) for node in layers}


def _differences(
    metric: str, expected: dict[str, int], total: int, got: Counter[str]
) -> Iterator[str]:
    for path, number in (expected | {"": total}).items():
        if got[path] != number:
            yield f"{path or 'in all'}: {metric}: expected {number:,}, got {got[path]:,}"
