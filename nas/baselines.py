"""Published networks under a search's own recipe, to read a front against; they are no trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nas import reference
from nas.cost import cost
from nas.errors import InputError
from nas.evaluate import Task, evaluate
from nas.graph import Graph
from nas.latency import Latency
from nas.records import COMPLETE, FAILED, Trial, cost_dict


def baseline(
    name: str,
    task: Task,
    classes: int,
    seed: Callable[[str], int],
    measure: Callable[[Graph], Latency] | None,
) -> Trial:
    """The record of a published network; one that is too large for the proxy has no accuracy."""
    network = reference.published(name)
    graph = network.graph(task.resolution, classes)
    arch = network.architecture(task.resolution, classes)
    identity = arch.id if arch else name
    trial = Trial(
        number=-1,
        id=identity,
        params={},
        arch=arch.to_dict() if arch else {},
        cost=cost_dict(cost(graph)),
        state=COMPLETE,
        seed=seed(identity),
        latency=measure(graph).to_dict() if measure else None,
        name=name,
    )
    side = task.recipe.proxy_resolution
    try:
        network.graph(side, classes)
    except InputError:
        return replace(trial, error=f"its smallest input is larger than the proxy's {side} pixels")
    try:
        return replace(trial, result=evaluate(arch or graph, task, trial.seed))
    except Exception as error:  # one bad network must not end a search
        return replace(trial, state=FAILED, error=f"{type(error).__name__}: {error}")
