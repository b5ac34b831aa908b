"""The connection to Ray; what is wrong with it, in one sentence.

A cluster that is started here (`local`) listens on the loopback interface only and has no
dashboard. The code that jobs need travels with the connection: this package and the modules of a
person's blocks, so that nodes run what the driver runs. The nodes themselves need Python, torch and
the other packages that this one depends on.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.blocks import BLOCKS, HEADS
from nas.errors import ClusterError, InputError

if TYPE_CHECKING:
    from nas.executors.execution import Execution

LOOPBACK = "127.0.0.1"
PATIENCE = 5.0  # seconds for an address to answer
PORT = 6379  # of a cluster, where none is given


@contextmanager
def connected(execution: Execution, blocks: Sequence[str]) -> Iterator[None]:
    """Be connected to the cluster; a program's own connection, if it has one, is used and kept."""
    ray = _import()
    if ray.is_initialized():
        _check_room(execution)
        yield
        return
    _connect(execution.ray or "", blocks)
    try:
        _check_room(execution)
        yield
    finally:
        ray.shutdown()


def _import() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("--ray: expected Ray; pip install 'nas-explorer[ray]'") from None
    return ray


def _connect(where: str, blocks: Sequence[str]) -> None:
    ray = _import()
    env = {"py_modules": code(blocks), "excludes": ["__pycache__", "*.pyc"]}
    quiet = {"log_to_driver": False, "logging_level": "error"}
    if where == "local":
        _start(runtime_env=env, **quiet)
        return
    if where != "auto":
        _check_address(where)
    try:
        ray.init(address=where, runtime_env=env, **quiet)
    except (ConnectionError, RuntimeError) as error:
        ray.shutdown()  # what is there of the connection
        raise InputError(f"--ray {where}: {_trouble(error)}") from None


def _trouble(error: Exception) -> str:
    """Why Ray did not connect, in one line: it tells its versions and the cluster's, for one."""
    if isinstance(error, ConnectionError):
        return "no cluster answers; ray start --head begins one, --ray local its own"
    return " ".join(str(error).split())


def _start(**settings: Any) -> None:
    """Begin a cluster of this machine alone; raises ClusterError where others could reach it."""
    from ray._private import ray_constants

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray turns a loopback address into one that is reached from outside, unless it is told that
    # there will be no other node. There is no public way to say so.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray = _import()
        ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **settings)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = True
    if (ip := ray.util.get_node_ip_address()) != LOOPBACK:
        ray.shutdown()
        raise ClusterError(f"--ray local: this Ray would listen on {ip}; begin one by ray start")


def _check_address(where: str) -> None:
    """Raise InputError where nothing listens; Ray would try for minutes."""
    host, _, port = where.rpartition(":") if ":" in where else (where, "", str(PORT))
    if "/" in where or not port.isdecimal():
        raise InputError(f"--ray {where!r}: expected auto, local or the host:port of a cluster")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray {where}: nothing listens there ({error})") from None


def code(blocks: Sequence[str]) -> list[str]:
    """Paths of the packages and modules that jobs import: this one's, and those with blocks."""
    registered = (cls.__module__ for cls in (*BLOCKS.values(), *HEADS.values()))
    names = {name.partition(".")[0] for name in ("nas", *blocks, *registered)} - {"__main__"}
    return [_path(sys.modules[name]) for name in sorted(names)]


def _path(module: Any) -> str:
    return str(module.__path__[0] if hasattr(module, "__path__") else Path(module.__file__))


def nodes() -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    return [node["Resources"] for node in _import().nodes() if node["Alive"]]


def room(node: dict[str, float], cpus: float, gpus: float) -> int:
    """How many trials of so many CPUs and GPUs a node takes."""
    needs = (("CPU", cpus), ("GPU", gpus))
    fits = [int(node.get(kind, 0.0) / need + 1e-6) for kind, need in needs if need]
    return min(fits, default=0)


def _check_room(execution: Execution) -> None:
    """Raise InputError where no node takes a trial, or none has the resource for latencies."""
    found = nodes()
    cpus, gpus = execution.cpus_per_trial or 1.0, execution.gpus_per_trial or 0.0
    if not any(room(node, cpus, gpus) for node in found):
        has = ", ".join(f"{n.get('CPU', 0):g} CPUs and {n.get('GPU', 0):g} GPUs" for n in found)
        raise InputError(
            f"--ray: no node has the {cpus:g} CPUs and {gpus:g} GPUs of a trial; the nodes have "
            f"{has}"
        )
    name = execution.latency_resource
    if name is not None and not any(node.get(name) for node in found):
        raise InputError(f"--latency-resource {name}: no node of the cluster has this resource")


def first_line(error: BaseException) -> str:
    """The first line of a message of Ray's, which may have a page of them."""
    return next(iter(str(error).strip().splitlines()), "")
