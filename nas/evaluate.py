"""`evaluate(arch, task) -> Result`: build, check, train briefly, score. A pure function.

The deployed network is what budgets, costs, latencies and exports mean. The proxy is the same
module at a smaller resolution, which is what is trained here.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import torch
from torch import nn

from nas.arch import Architecture, trace
from nas.data import Data, Images, load_data, resized
from nas.graph import Graph
from nas.net import build, threads
from nas.records import Result
from nas.space import RESOLUTION, proxy_side
from nas.train import Diverged, Recipe, score, train
from nas.verify import verify


@dataclass(frozen=True, slots=True)
class Task:
    """What accuracy means in a run: data, recipe and the deployed resolution in pixels.

    `data_id` is the content's hash, so that two names of the same images are one task.
    """

    data: str
    data_dir: str | None
    data_id: str
    recipe: Recipe
    resolution: int = RESOLUTION
    device: str = "cpu"

    @property
    def id(self) -> str:
        """Twelve hex digits of what an accuracy depends on besides architecture and seed."""
        facts = [self.data_id, asdict(self.recipe), self.resolution]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=6).hexdigest()


def evaluate(
    network: Architecture | Graph,
    task: Task,
    seed: int = 0,
    on_epoch: Callable[[int, float], None] | None = None,
) -> Result:
    """The accuracy of a deployed network after the brief training of a task.

    fvcore counts the network first: raises CostMismatch where it disagrees, Diverged where the
    loss is not finite.
    """
    started = time.perf_counter()
    data = cached_data(task.data, task.data_dir)
    module = proxy_module(network, task, len(data.classes), seed)
    side = proxy_side(network.input[1], task.resolution, task.recipe.proxy_resolution)
    train_images, validation = proxy_images(task, side)
    recipe, device = task.recipe, task.device
    with threads(recipe.threads):
        curve = train(
            module, train_images, data, recipe, seed=seed, device=device, on_epoch=on_epoch
        )
        accuracy, cross_entropy = score(module, validation, data, device=device)
    if not math.isfinite(cross_entropy):  # the last step's weights, which no loss has seen
        raise Diverged(f"the validation loss is {cross_entropy}")
    seconds = time.perf_counter() - started
    return Result(accuracy, cross_entropy, len(validation), tuple(curve), seconds)


def proxy_module(network: Architecture | Graph, task: Task, classes: int, seed: int) -> nn.Module:
    """The proxy's module; its layers are the deployed network's, checked against fvcore."""
    graph = trace(network) if isinstance(network, Architecture) else network
    module: nn.Module = build(graph, seed)
    verify(graph, module)
    stride = task.recipe.stem_stride
    if isinstance(network, Architecture) and stride not in (None, network.stem.stride):
        module = build(trace(replace(network, stem=replace(network.stem, stride=stride))), seed)
    if (width := graph.output[0]) != classes:  # an embedding learns through a classifier
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            module = nn.Sequential(module, nn.Linear(width, classes))
    return module


@lru_cache(maxsize=4)
def cached_data(name: str, data_dir: str | None) -> Data:
    """A data set, read once a process."""
    return load_data(name, data_dir)


def proxy_images(task: Task, side: int) -> tuple[Images, Images]:
    """Training and validation images at the proxy's size; the test part is never looked at."""
    return _proxy_images(task.data, task.data_dir, task.recipe.subset, side)


@lru_cache(maxsize=16)
def _proxy_images(name: str, data_dir: str | None, subset: int, side: int) -> tuple[Images, Images]:
    data = cached_data(name, data_dir)
    # A prefix holds the classes in their proportions.
    return resized(data.train.take(slice(subset)), side), resized(data.validation, side)
