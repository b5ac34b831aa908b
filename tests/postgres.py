"""A PostgreSQL server of the tests' own, on loopback, where Debian's is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


def _program(name: str) -> str:
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    path = found[-1] if found else shutil.which(name)
    return path or pytest.skip(f"no {name} here: apt install postgresql")


def _owner() -> str | None:
    """Whom the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    users = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


@dataclass
class Postgres:
    """A server; its database `postgres` belongs to the user of the same name."""

    folder: Path
    port: int
    owner: str | None

    def url(self, password: str = "") -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://postgres{secret}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k '' -F"
        log = str(self.folder / "log")
        self._do("pg_ctl", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._do("pg_ctl", "-w", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def create(self) -> None:
        data = str(self.folder / "data")
        self._do("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")

    def _do(self, program: str, *arguments: str) -> None:
        command = [_program(program), *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(
            command, user=self.owner, cwd=self.folder, check=True, stdout=quiet, stderr=quiet
        )


@contextmanager
def running() -> Iterator[Postgres]:
    """A fresh server; skips the test, with a reason, where none is installed."""
    pytest.importorskip("psycopg", reason="no psycopg here: pip install 'nas-explorer[postgres]'")
    _program("initdb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = Postgres(Path(folder), port, _owner())
        if server.owner:
            shutil.chown(folder, server.owner)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
