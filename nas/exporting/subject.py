"""What is exported: a network with its weights, and the images that it was made for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from nas.arch import Architecture
from nas.blocks import import_blocks
from nas.data import Data, load_data
from nas.errors import InputError
from nas.graph import Graph
from nas.net import build
from nas.networks import Network, find_network, run_of
from nas.training.trained import INFO, WEIGHTS, Trained
from nas.training.weights import fit, read_weights

UNKNOWN = "digits"  # the images that a network is checked on whose data nobody knows


@dataclass(frozen=True, slots=True)
class Subject:
    """A graph and its module in evaluation mode.

    `weighted`: the weights are from a file, not a random start; `trained`: the training that they
    are from, if known; `calibration`: normalised images (n, c, h, w) that show eight bits their
    ranges.
    """

    name: str
    graph: Graph
    architecture: Architecture | None
    module: fx.GraphModule
    weighted: bool
    trained: Trained | None
    calibration: NDArray[np.float32] | None = None

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        return {name: tensor.numpy() for name, tensor in self.module.state_dict().items()}


def find_subject(
    network: str | Path | Architecture, weights: str | Path | None, resolution: int | None
) -> Subject:
    """The network with its weights, as `nas.export` is given them; raises InputError."""
    trained = _training(network, weights)
    if trained and trained.result is None:
        advice = f"go on with: nas train --resume {trained.path}"
        raise InputError(f"{trained.path}: the training has not ended; {advice}")
    found = _network(network, trained, resolution)
    channels, height, width = found.graph.input
    if channels != 3 or height != width:
        raise InputError(
            f"{found.name}: input: expected 3 channels and a square, got {list(found.graph.input)}"
        )
    module = build(found.graph, seed=0)
    file = trained.weights if trained else weights
    if file is not None:
        fit(module, read_weights(file), str(file))
    module.eval()
    return Subject(found.name, found.graph, found.architecture, module, file is not None, trained)


def images_of(subject: Subject, data: str | None, data_dir: str | Path | None) -> Data:
    """The named data, else those of the training, else some embedded ones."""
    if data is None and subject.trained:
        settings = subject.trained.settings
        data, data_dir = settings.data, data_dir or settings.data_dir
    return load_data(data or UNKNOWN, data_dir, size=subject.graph.input[1])


@torch.no_grad()
def settle(module: nn.Module, images: Tensor) -> None:
    """Give a random start the batch norm statistics of some images, as a training would.

    Without them a deep network's scores vanish, and there would be nothing to compare.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the plain mean over all batches
    module(images)
    for norm in norms:
        norm.eval()


def _training(network: str | Path | Architecture, weights: str | Path | None) -> Trained | None:
    """The training that the weights are from, where its folder is known."""
    place = network if weights is None else weights
    if isinstance(place, Architecture):
        return None
    folder = Path(place).parent if Path(place).name == WEIGHTS else Path(place)
    return Trained(folder) if (folder / INFO).is_file() else None


def _network(
    network: str | Path | Architecture, trained: Trained | None, resolution: int | None
) -> Network:
    """The network at the size that is asked for, its training's or its own."""
    if trained:
        import_blocks(trained.settings.blocks)
        resolution = resolution or trained.settings.resolution
        if not isinstance(network, Architecture) and Path(network) == trained.path:
            network = trained.network.architecture or trained.settings.network
    if isinstance(network, Architecture):
        found = find_network(network, resolution)
        return replace(found, name=trained.settings.network) if trained else found
    if run := run_of(str(network)):
        import_blocks(run.info["settings"].get("blocks", ()))
    classes = len(trained.info["classes"]) if trained else None
    return find_network(str(network), resolution, classes)
