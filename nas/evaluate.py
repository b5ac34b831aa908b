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
from typing import NamedTuple, Protocol

from torch import nn

from nas.arch import Architecture, Stage, trace
from nas.blocks import round_width
from nas.data import Data, Images, load_data, resized
from nas.graph import Graph
from nas.latency.lock import together
from nas.net import build, seeded, threads
from nas.proxies.untrained import Untrained
from nas.recipe import Recipe
from nas.records import Result
from nas.shared.checkpoint import Checkpoint
from nas.space import RESOLUTION, proxy_side
from nas.training import Diverged, Training, score
from nas.verify import verify

GIVEN: dict[tuple[str, str | None], Data] = {}  # data that a worker gets from its driver


class AtOnce(Protocol):
    """What scores a network without training it; `id` is part of a task's."""

    @property
    def id(self) -> str: ...

    def score(
        self, network: Architecture | Graph, task: Task, on_begin: Callable[[], None]
    ) -> Result:
        """The result of a network; `on_begin` as of `climb`."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """What accuracy means in a run: data, recipe and the deployed resolution in pixels.

    `data_id` is the content's hash, so that two names of the same images are one task. With
    `shared`, networks are judged as parts of this shared network, with `untrained` as they are
    before any training, and nothing is trained.
    """

    data: str
    data_dir: str | None
    data_id: str
    recipe: Recipe
    resolution: int = RESOLUTION
    device: str = "cpu"
    shared: Checkpoint | None = None
    untrained: Untrained | None = None

    @property
    def id(self) -> str:
        """Twelve hex digits of what an accuracy depends on besides architecture and seed."""
        facts = [self.data_id, asdict(self.recipe), self.resolution]
        facts += [self.at_once.id] if self.at_once else []
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=6).hexdigest()

    @property
    def at_once(self) -> AtOnce | None:
        """What scores networks without a training of each, None where each is trained alone."""
        return self.shared or self.untrained


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
    return climb(network, task, seed, task.recipe.epochs, on_epoch=on_epoch).result


class Rung(NamedTuple):
    """The result at a rung, and the state (a safetensors file) that the next one goes on from."""

    result: Result
    state: bytes | None


def climb(
    network: Architecture | Graph,
    task: Task,
    seed: int,
    epochs: int,
    before: Rung | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> Rung:
    """Train up to so many of the recipe's epochs, from the rung `before`; raises as `evaluate`.

    By rungs or at once, a training is the same to the bit on the CPU. At the end of the recipe
    there is no state. What is scored at once has one rung, and no training. `on_begin` is called
    when nobody measures a latency any more, for which this may have waited.
    """
    if task.at_once:
        return Rung(task.at_once.score(network, task, on_begin), None)
    data = cached_data(task.data, task.data_dir)
    side = proxy_side(network.input[1], task.resolution, task.recipe.proxy_resolution)
    train_images, validation = proxy_images(task, side)
    with together(), threads(task.recipe.threads):
        on_begin()
        started = time.perf_counter()
        module = proxy_module(network, task, len(data.classes), seed, check=before is None)
        training = Training(module, train_images, data, task.recipe, seed=seed, device=task.device)
        if before and before.state:
            training.load(before.state)
        training.advance(epochs, on_epoch)
        accuracy, cross_entropy, _ = score(module, validation, data, device=task.device)
    if not math.isfinite(cross_entropy):  # the last step's weights, which no loss has seen
        raise Diverged(f"the validation loss is {cross_entropy}")
    earlier = before.result if before else None
    result = Result(
        accuracy=accuracy,
        cross_entropy=cross_entropy,
        validation_size=len(validation),
        curve=tuple(training.curve),
        rungs=(*(earlier.rungs if earlier else ()), (epochs, accuracy)),
        seconds=time.perf_counter() - started + (earlier.seconds if earlier else 0.0),
    )
    return Rung(result, training.save() if epochs < task.recipe.epochs else None)


def proxy_module(
    network: Architecture | Graph, task: Task, classes: int, seed: int, check: bool = True
) -> nn.Module:
    """The proxy's module; the deployed network is checked against fvcore.

    Only an architecture can take the recipe's stem stride and width.
    """
    graph = trace(network) if isinstance(network, Architecture) else network
    module: nn.Module = build(graph, seed)
    if check:
        verify(graph, module)
    if isinstance(network, Architecture) and (proxy := proxied(network, task.recipe)) != network:
        module = build(trace(proxy), seed)
    if (width := graph.output[0]) != classes:  # an embedding learns through a classifier
        with seeded(seed):
            module = nn.Sequential(module, nn.Linear(width, classes))
    return module


def proxied(arch: Architecture, recipe: Recipe) -> Architecture:
    """The architecture with the stem stride and the widths of a recipe."""

    def thin(stage: Stage) -> Stage:
        return replace(stage, width=round_width(stage.width * recipe.width))

    stem = replace(arch.stem, stride=recipe.stem_stride or arch.stem.stride)
    if recipe.width == 1:
        return replace(arch, stem=stem)
    return replace(arch, stem=thin(stem), stages=tuple(map(thin, arch.stages)))


@lru_cache(maxsize=4)
def cached_data(name: str, data_dir: str | None) -> Data:
    """A data set, read once a process, unless it was given."""
    return GIVEN.get((name, data_dir)) or load_data(name, data_dir)


def proxy_images(task: Task, side: int) -> tuple[Images, Images]:
    """Training and validation images at the proxy's size; the test part is never looked at."""
    return _proxy_images(task.data, task.data_dir, task.recipe.subset, side)


@lru_cache(maxsize=16)
def _proxy_images(name: str, data_dir: str | None, subset: int, side: int) -> tuple[Images, Images]:
    data = cached_data(name, data_dir)
    # A prefix holds the classes in their proportions.
    return resized(data.train.take(slice(subset)), side), resized(data.validation, side)
