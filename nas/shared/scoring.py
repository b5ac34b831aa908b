"""What an architecture scores with its part of a shared network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nas.arch import Architecture, trace
from nas.data import Data, Images, to_batch
from nas.errors import InputError
from nas.evaluate import Task, cached_data, proxied, proxy_images
from nas.graph import Graph
from nas.latency.lock import together
from nas.net import build, threads
from nas.records import SHARED, Result, read_json
from nas.shared.checkpoint import Weights, find, load
from nas.shared.layout import Outgrown
from nas.space import proxy_side
from nas.training.loop import Diverged
from nas.training.score import BATCH, score

CALIBRATION = 500  # training images that the statistics of batch norm are of


def score_part(
    network: Architecture | Graph, task: Task, on_begin: Callable[[], None] = lambda: None
) -> Result:
    """The result of an architecture by its task's shared network; `on_begin` as of `climb`.

    Its score is the geometric mean of the probabilities of the true classes, with the error that
    follows from the spread of the images' losses.

    On one thread, so that it is the same to the bit in every process on processors of one model.
    Raises Outgrown where the architecture is not of the space, Diverged where the loss is not
    finite.
    """
    if task.shared is None or not isinstance(network, Architecture):
        raise TypeError("expected a task with a shared network, and an architecture")
    data = cached_data(task.data, task.data_dir)
    side = proxy_side(network.input[1], task.resolution, task.recipe.proxy_resolution)
    train, validation = proxy_images(task, side)
    with together(), threads(1):
        on_begin()
        started = time.perf_counter()
        module = module_of(load(task.shared), proxied(network, task.recipe))
        calibrate(module, train.take(slice(CALIBRATION)), data)
        found = score(folded(module), validation, data)
    if not math.isfinite(found.cross_entropy):
        raise Diverged(f"the validation loss is {found.cross_entropy}")
    probability = math.exp(-found.cross_entropy)  # ranks better than accuracy does
    return Result(
        accuracy=found.accuracy,
        cross_entropy=found.cross_entropy,
        validation_size=len(validation),
        curve=(),
        rungs=(),
        seconds=time.perf_counter() - started,
        score=probability,
        score_error=probability * found.cross_entropy_error,
    )


def module_of(weights: Weights, arch: Architecture) -> nn.Module:
    """An architecture's own module with its part of the weights."""
    module = build(trace(arch), seed=0)
    module.load_state_dict(module.state_dict() | weights.state_dict(arch))
    return module


def part_of(folder: Path, arch: Architecture) -> dict[str, torch.Tensor]:
    """An architecture's part of the shared network of a run, by the names of `nas.build(arch)`.

    Statistics of batch norm are those of a new module. Raises InputError where the run has no
    trained shared network, or the architecture is not of its space.
    """
    found = find(folder / SHARED)
    if found is None or read_json(folder / "run.json")["settings"]["proxy"] == "alone":
        raise InputError(f"{folder}: no trained shared network; expected a run by --proxy shared")
    try:
        return dict(module_of(load(found), arch).state_dict())
    except Outgrown as error:
        raise InputError(f"{folder}: not a part of its shared network: {error}") from None


@torch.no_grad()
def calibrate(module: nn.Module, images: Images, data: Data) -> None:
    """Set the statistics of every batch norm to those of `images`, and evaluation mode.

    Those of a shared network are of many architectures, and of no use to any (Guo et al. 2020,
    arXiv:1904.00420).
    """
    module.eval()
    for norm in (m for m in module.modules() if isinstance(m, _BatchNorm)):
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for pixels in torch.split(images.x, BATCH):
        module(to_batch(pixels, pixels.shape[-1], data.mean, data.std))
    module.eval()


def folded(module: nn.Module) -> nn.Module:
    """The module with each batch norm in the convolution before it: it scores in two thirds of
    the time. Its weights are no longer those of the shared network."""
    for layer in list(module.modules()):  # a person's own may use the two in any order
        parts = dict(layer.named_children())
        if type(layer) is nn.Sequential and [*parts][:2] == ["conv", "norm"]:
            conv, norm = parts["conv"], parts["norm"]
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            layer.conv, layer.norm = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return module
