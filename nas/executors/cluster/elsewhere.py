"""Latencies on the nodes that have a Ray resource of a person's choice, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from nas.blocks import import_blocks
from nas.errors import ClusterError
from nas.executors.cluster.nodes import GLANCE, Head, Node, first_line, nodes
from nas.graph import Graph
from nas.latency import Latency, calibrate, measure
from nas.latency.device import Device

_T = TypeVar("_T")


class Elsewhere:
    """Calls like those of `nas.latency`, done on a node that has the resource `name`.

    Each takes the whole node, so that no other task of Ray runs there meanwhile. `blocks` are
    modules that may bring a latency back end.
    """

    def __init__(self, name: str, blocks: Sequence[str]) -> None:
        self.name, self._blocks = name, list(blocks)
        self._cpu: str | None = None

    def device(self, backend: str, threads: int) -> Device:
        """The kind of node that has the resource."""
        found = self._call(Device.here, backend, threads)
        self._cpu = found.cpu
        return found

    def calibrate(self, *, backend: str, threads: int) -> float:
        return self._call(calibrate, backend=backend, threads=threads)

    def measure(self, graph: Graph, *, reference_ms: float, backend: str, threads: int) -> Latency:
        """Raises ClusterError where the nodes that have the resource are of several kinds."""
        settings = {"reference_ms": reference_ms, "backend": backend, "threads": threads}
        found = self._call(measure, graph, **settings)
        if found.cpu != self._cpu:
            raise ClusterError(
                f"--latency-resource {self.name}: expected one kind of node, got {found.cpu} "
                f"beside {self._cpu}"
            )
        return found

    def _call(self, function: Callable[..., _T], *args: Any, **settings: Any) -> _T:
        node = self._node()
        whole = {"num_cpus": node.get("CPU", 0.0), "resources": {self.name: node[self.name]}}
        whole["max_retries"] = 0  # a node that is lost is told of at once
        task: Any = ray.remote(_there).options(**whole)
        timed = task.remote(self._blocks, function, args, settings)
        head = Head()
        while not ray.wait([timed], timeout=GLANCE)[0]:
            if head.answers():
                self._node()  # without it the task would wait for ever
        try:
            found: _T = ray.get(timed)
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise ClusterError(f"--latency-resource {self.name}: {first_line(error)}") from None
        return found

    def _node(self) -> Node:
        """One that has the resource; raises ClusterError where there is none any more."""
        if found := next((node for node in nodes() if node.get(self.name)), None):
            return found
        raise ClusterError(f"--latency-resource {self.name}: its node has left the cluster")


def _there(
    blocks: list[str], function: Callable[..., _T], args: Sequence[Any], settings: dict[str, Any]
) -> _T:
    import_blocks(blocks)
    return function(*args, **settings)
