"""PyTorch without a graph compiler, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.graph import Graph
from nas.latency.backends.base import Weights, image
from nas.latency.stopwatch import Run, Stopwatch, caller_time, wall_time
from nas.layers import Conv

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Torch:
    """Eager PyTorch in fp32: batch norm folded, channels last, inference mode."""

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        import torch

        from nas.net import threads as limited

        module, x = deployed(graph, weights, "cpu")
        torch.set_flush_denormal(True)  # of this thread

        def run() -> torch.Tensor:
            with torch.inference_mode(), limited(threads):
                scores: torch.Tensor = module(x)
            return scores

        return run

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time


def deployed(graph: Graph, weights: Weights | None, device: str) -> tuple[nn.Module, torch.Tensor]:
    """The module as one deploys it, and the image, both on the device."""
    import torch

    from nas.net import build

    module: nn.Module = build(graph, seed=0).eval()
    if weights is None:
        _randomise(module)
    else:
        module.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    _fold_norms(module, graph)
    layout = torch.channels_last
    x = torch.from_numpy(image(graph)).to(device, memory_format=layout)
    return module.to(device, memory_format=layout), x  # type: ignore[call-overload]


def _randomise(module: nn.Module) -> None:
    """Weights that keep activations in range; those for training rely on batch statistics."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)


def _fold_norms(module: nn.Module, graph: Graph) -> None:
    from torch.nn.utils import fuse_conv_bn_eval

    for node in graph.nodes:
        if isinstance(node.layer, Conv) and node.layer.norm:
            layer: Any = module.get_submodule(node.path)  # convolution, norm, perhaps activation
            layer[0] = fuse_conv_bn_eval(layer[0], layer[1])
            del layer[1]
