"""What an untrained network scores in a search, and the random networks that it is held against."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from functools import lru_cache
from statistics import mean, stdev

from nas.arch import Architecture
from nas.errors import InputError
from nas.evaluate import Task, cached_data, proxied
from nas.gate import Gate
from nas.graph import Graph
from nas.latency.lock import together
from nas.net import threads
from nas.proxies import Batch, first_images, zero_cost
from nas.proxies.untrained import Untrained
from nas.records import Result
from nas.space import proxy_side

NASWOT = "naswot"  # of all these scores it orders best (docs/ranking.md)
NETWORKS = 40  # random ones; the error of their mean is a sixth of their deviation


def score_untrained(
    network: Architecture | Graph, task: Task, on_begin: Callable[[], None] = lambda: None
) -> Result:
    """The result of an architecture before any training; `on_begin` as of `climb`.

    It has a score alone. All weights are of one seed, and one thread computes it, so that it is the
    same in every run and process. Raises ValueError where it is no number.
    """
    if task.untrained is None or not isinstance(network, Architecture):
        raise TypeError("expected a task of untrained networks, and an architecture")
    with together():
        on_begin()
        started = time.perf_counter()
        standing = task.untrained.standing(_value(network, task, task.untrained.name))
    return Result(
        accuracy=None,
        cross_entropy=None,
        validation_size=0,
        curve=(),
        rungs=(),
        seconds=time.perf_counter() - started,
        score=standing,
    )


def untrained(gate: Gate, task: Task, seed: int, name: str = NASWOT) -> Untrained:
    """How random networks of the gate's space within its budget score; `seed` draws them.

    Those of no finite score are left out. Raises InputError where fewer than two are left.
    """
    rng = random.Random(seed)
    walks = (gate.feasible(gate.space.sample(rng), rng) for _ in range(NETWORKS))
    archs = [gate.space.architecture(params) for params in walks if params is not None]
    with together():
        values = [_value(arch, task, name) for arch in archs]
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        raise InputError(
            f"--proxy zero-cost: {name} is finite for {len(known)} of {len(archs)} random networks "
            f"of space {gate.space.name} on images of {task.recipe.proxy_resolution} pixels; "
            "expected 2 or more, as of networks with activations on larger images"
        )
    return Untrained(name, mean(known), stdev(known), len(known))


def _value(arch: Architecture, task: Task, name: str) -> float:
    """The score of an architecture's proxy."""
    side = proxy_side(arch.input[1], task.resolution, task.recipe.proxy_resolution)
    batch = _images(task.data, task.data_dir, side)
    with threads(1):
        return zero_cost(proxied(arch, task.recipe), batch, names=[name])[name]


@lru_cache(maxsize=16)
def _images(data: str, data_dir: str | None, side: int) -> Batch:
    return first_images(cached_data(data, data_dir), side)
