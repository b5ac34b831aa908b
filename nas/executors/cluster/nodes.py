"""The nodes of a cluster: what room they have, and whether the head that knows them answers.

Ray ends a process that has not reached the head for a minute, whatever it is doing and without an
exception, and until then whatever asks the head waits for it. So before a question a connection to
the head's port, which takes a millisecond, tells whether there is anybody to ask.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import TypeAlias

import ray

from nas.errors import ClusterError, InputError
from nas.executors.execution import Execution

Node: TypeAlias = dict[str, float]  # its resources by their names
GLANCE = 1.0  # seconds between two looks at the cluster, and for the head to answer
# Seconds that the head may be away, as where it begins again: a third of what Ray allows, so that
# there is time to say so and to close.
AWAY = float(os.environ.get("RAY_gcs_rpc_server_reconnect_timeout_s", 60)) / 3  # noqa: SIM112


@dataclass(frozen=True, slots=True)
class Needs:
    """What Ray keeps for a trial."""

    cpus: float
    gpus: float

    @classmethod
    def of(cls, execution: Execution, *, trained: bool = True) -> Needs:
        """What is scored without a training is scored on CPUs."""
        gpus = execution.gpus_per_trial if trained else None
        return cls(execution.cpus_per_trial or 1.0, gpus or 0.0)

    def room(self, node: Node) -> int:
        """How many trials a node takes."""
        needs = (("CPU", self.cpus), ("GPU", self.gpus))
        fits = [int(node.get(kind, 0.0) / need + 1e-6) for kind, need in needs if need]
        return min(fits, default=0)

    def unmet(self, nodes: list[Node]) -> str:
        """What a person is told where no node has room; nodes that are alike count once."""
        kinds = dict.fromkeys(_counted(n.get("CPU", 0.0), n.get("GPU", 0.0)) for n in nodes)
        return f"{_counted(self.cpus, self.gpus)}; the nodes have {', '.join(kinds)}"


class Head:
    """The head of the cluster that this process is connected to."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        self._away: float | None = None  # since when

    def answers(self) -> bool:
        """Whether it does now; raises ClusterError where it has not for a while."""
        try:
            dial(self.address, GLANCE).close()
        except OSError as error:
            now = time.monotonic()
            self._away = self._away or now
            if now - self._away > AWAY:
                raise ClusterError(
                    f"the head of the Ray cluster, {self.address}, has not answered for {AWAY:g} s "
                    f"({error})"
                ) from None
            return False
        self._away = None
        return True


def dial(address: str, timeout: float) -> socket.socket:
    """A connection to host:port, a host of IPv6 in brackets; raises OSError, OverflowError."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)


def nodes() -> list[Node]:
    """The resources of each node that is alive."""
    found = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in found if node["Alive"]]


def check_room(execution: Execution) -> None:
    """Raise InputError where no node takes a trial, or none has the resource for latencies.

    With `max_concurrent` nodes may come later, as where a cluster grows on demand.
    """
    needs, found = Needs.of(execution), nodes()
    if execution.max_concurrent is None and not any(map(needs.room, found)):
        raise InputError(
            f"--ray: expected a node with {needs.unmet(found)}, and with --max-concurrent N a "
            "search waits for one"
        )
    name = execution.latency_resource
    if name is not None and not any(node.get(name) for node in found):
        raise InputError(f"--latency-resource {name}: no node of the cluster has this resource")


def first_line(error: BaseException) -> str:
    """The first line of a message of Ray's, which may have a page of them."""
    return next(iter(str(error).strip().splitlines()), "")


def _counted(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
