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

import ray
from ray.exceptions import AuthenticationError

from nas.blocks import BLOCKS, HEADS
from nas.errors import ClusterError, InputError
from nas.executors.cluster.nodes import check_room, dial

if TYPE_CHECKING:
    from nas.executors.execution import Execution

LOOPBACK = "127.0.0.1"
PATIENCE = 5.0  # seconds for an address to answer
PORT = 6379  # of a cluster, where none is given
# What opens a connection of HTTP/2, the protocol under gRPC, with a frame of no settings, and the
# type of the frame that answers it: RFC 9113, sections 3.4 and 6.5.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS = b"\x04"
OWN: set[int] = set()  # this process, once it has had a Ray of its own
PROCESSES = Path("/proc")


@contextmanager
def connected(execution: Execution, blocks: Sequence[str]) -> Iterator[None]:
    """Be connected to the cluster; a program's own connection, if it has one, is used and kept."""
    if ray.is_initialized():
        check_room(execution)
        yield
        return
    try:
        _connect(execution.ray or "", blocks)
        check_room(execution)
        yield
    finally:
        ray.shutdown()


def _connect(where: str, blocks: Sequence[str]) -> None:
    settings: dict[str, Any] = {
        "runtime_env": {"py_modules": code(blocks), "excludes": ["__pycache__", "*.pyc"]},
        "log_to_driver": False,
        "logging_level": "error",
    }
    if where == "local":
        OWN.add(os.getpid())
        _start(settings)
        return
    if os.getpid() in OWN:
        raise InputError(
            f"--ray {where}: expected a process that has had no --ray local, whose token Ray would "
            "show to this cluster; begin another process"
        )
    if where == "auto":
        where = os.environ.get("RAY_ADDRESS", where)
    if where != "auto":
        _check_address(where)
    if not _has_node():
        raise InputError(
            f"--ray {where}: expected a node of the cluster on this machine; ray start --head "
            "begins a cluster, ray start --address=HOST:PORT joins one, --ray local has its own"
        )
    try:
        ray.init(address=where, **settings)
    except (ConnectionError, RuntimeError, AuthenticationError) as error:
        raise InputError(f"--ray {where}: {_trouble(error)}") from None


def _trouble(error: Exception) -> str:
    """Why Ray did not connect, in one line: it tells its versions and the cluster's, for one."""
    if isinstance(error, ConnectionError):
        return "no cluster answers; ray start --head begins one, --ray local its own"
    return " ".join(str(error).split())


def _start(settings: dict[str, Any]) -> None:
    """Begin a cluster of this machine alone; raises ClusterError where others could reach it."""
    from ray._private import ray_constants

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray turns a loopback address into one that is reached from outside, unless it is told that
    # there will be no other node. There is no public way to say so.
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        ray.init(address="local", include_dashboard=False, _node_ip_address=LOOPBACK, **settings)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = True
    ip = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    if ip != LOOPBACK:
        raise ClusterError(f"--ray local: this Ray would listen on {ip}; begin one by ray start")


def _check_address(where: str) -> None:
    """Raise InputError where no head of a cluster listens; Ray would try for minutes."""
    address = where if ":" in where else f"{where}:{PORT}"
    if "/" in where or not address.rpartition(":")[2].isdecimal():
        raise InputError(f"--ray {where!r}: expected auto, local or the host:port of a cluster")
    try:
        connection = dial(address, PATIENCE)
    except (OSError, OverflowError) as error:
        raise InputError(f"--ray {where}: nothing listens there ({error})") from None
    with connection:
        if not _is_grpc(connection):
            raise InputError(
                f"--ray {where}: what listens there is no head of a Ray cluster, whose port is "
                f"{PORT} where nothing else is said"
            )


def _is_grpc(connection: socket.socket) -> bool:
    """Whether a gRPC server is at the other end, which Ray's head is; any is with TLS."""
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return True
    try:
        connection.sendall(HELLO)
        return connection.recv(9)[3:4] == SETTINGS  # a frame is a length, its type, flags, a stream
    except OSError:  # it said nothing, or hung up
        return False


def _has_node() -> bool:
    """Whether a node runs on this machine, without which Ray looks for one for a minute."""
    return any(_text(name) == "raylet" for name in PROCESSES.glob("[0-9]*/comm"))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # the process has ended meanwhile
        return ""


def code(blocks: Sequence[str]) -> list[str]:
    """Paths of the packages and modules that jobs import: this one's, and those with blocks."""
    registered = (cls.__module__ for cls in (*BLOCKS.values(), *HEADS.values()))
    names = {name.partition(".")[0] for name in ("nas", *blocks, *registered)} - {"__main__"}
    return [_path(sys.modules[name]) for name in sorted(names)]


def _path(module: Any) -> str:
    return str(module.__path__[0] if hasattr(module, "__path__") else Path(module.__file__))
