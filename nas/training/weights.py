"""Weights to a file, and from one, checked against a module before any is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from nas.errors import InputError
from nas.graph import Graph


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; raises InputError."""
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: No such file or directory") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: expected a .safetensors file of weights ({error})") from None


def to_safetensors(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a safetensors file, in which a weight of two names is written twice."""
    form = torch.contiguous_format
    return safetensors.torch.save(
        {k: t.detach().cpu().clone(memory_format=form) for k, t in tensors.items()}, metadata
    )


def fit(module: nn.Module, weights: dict[str, Tensor], where: str) -> None:
    """Load weights into the module that they are of; raises InputError."""
    own = module.state_dict()
    for name in dict.fromkeys((*own, *weights)):
        check_shape(name, own.get(name), weights.get(name), where)
    module.load_state_dict(weights)


def start_from(
    module: nn.Module, graph: Graph, weights: dict[str, Tensor], where: str
) -> list[str]:
    """Load weights to begin with into the module of a graph; returns the names of those left out.

    They are the last layer's where it has other classes, and start afresh. Raises InputError.
    """
    own = module.state_dict()
    last = next(node.path for node in reversed(graph.nodes) if node.layer.params)
    fresh = [n for n in own if n.startswith(f"{last}.") and _differ(own[n], weights.get(n))]
    fit(module, weights | {name: own[name] for name in fresh}, where)
    return fresh


def check_shape(name: str, own: Tensor | None, given: Tensor | None, where: str) -> None:
    """Raise InputError unless a network's own tensor and the one given for it are alike."""
    if own is None:
        raise InputError(f"{where}: {name}: the network has no such weight")
    if given is None:
        raise InputError(f"{where}: {name}: missing, the network has such a weight")
    if own.shape != given.shape:
        raise InputError(
            f"{where}: {name}: expected the shape {tuple(own.shape)}, got {tuple(given.shape)}"
        )


def _differ(own: Tensor, given: Tensor | None) -> bool:
    return given is not None and own.shape != given.shape
