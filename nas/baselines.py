"""Published networks under a search's own recipe, to read a front against; they are no trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nas import reference
from nas.arch import Architecture
from nas.cost import cost
from nas.errors import InputError
from nas.evaluate import Task
from nas.graph import Graph
from nas.latency import Latency
from nas.records import COMPLETE, Trial, cost_dict


class Baseline(NamedTuple):
    """A published network, as an architecture where it is one, and its record without a result.

    The record has an error where the network is too large for the proxy: it has costs alone.
    """

    network: Architecture | Graph
    trial: Trial


def baseline(
    name: str,
    number: int,
    task: Task,
    classes: int,
    seed: Callable[[str], int],
    measure: Callable[[Graph], Latency] | None,
) -> Baseline:
    """A published network with its costs and its latency; `number` is below zero."""
    network = reference.published(name)
    graph = network.graph(task.resolution, classes)
    arch = network.architecture(task.resolution, classes)
    identity = arch.id if arch else name
    trial = Trial(
        number=number,
        id=identity,
        params={},
        arch=arch.to_dict() if arch else {},
        cost=cost_dict(cost(graph)),
        state=COMPLETE,
        seed=seed(identity),
        latency=measure(graph).to_dict() if measure else None,
        error=_unfit(network, task.recipe.proxy_resolution, classes),
        name=name,
    )
    return Baseline(arch or graph, trial)


def _unfit(network: reference.Published, side: int, classes: int) -> str | None:
    """Why a network cannot be trained at the proxy's size, if it cannot."""
    try:
        network.graph(side, classes)
    except InputError:
        return f"its smallest input is larger than the proxy's {side} pixels"
    return None
