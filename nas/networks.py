"""What a person may name a network by: a published name, an architecture file, a trial of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nas import reference
from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.graph import Graph
from nas.reference.base import remedy
from nas.run import Run

TRIAL = re.compile(r"(?P<run>.+):(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class Network:
    """A network by name; `architecture` is None where it is no stage table."""

    name: str
    graph: Graph
    architecture: Architecture | None

    @property
    def resolution(self) -> int:
        return self.graph.input[1]


def find_network(
    name: str | Architecture, resolution: int | None = None, classes: int | None = None
) -> Network:
    """The network of a name, at its own resolution or the one in pixels; raises InputError.

    `name`: a published network, a .yaml file, results/NAME:NUMBER, a trial of a run, or an
    architecture, whose id is then its name. `classes`: of a published one, instead of its own; the
    others say their own.
    """
    if isinstance(name, Architecture):
        return _own(name.id, name, resolution)
    if match := TRIAL.fullmatch(name):
        return _own(name, Run(match["run"]).architecture(int(match["number"])), resolution)
    if Path(name).suffix in (".yaml", ".yml"):
        return _own(name, Architecture.from_yaml(name), resolution)
    published = _published(name)
    architecture = published.architecture(resolution, classes)
    return Network(name, published.graph(resolution, classes), architecture)


def _published(name: str) -> reference.Published:
    """A published network, also where a folder is named like it."""
    try:
        return reference.published(name)
    except InputError:
        if "/" in name or ":" in name or Path(name).is_dir():
            raise InputError(_misnamed(name)) from None
        raise


def _misnamed(name: str) -> str:
    """What a path that is no network should have been."""
    if Path(name, "run.json").is_file():
        return f"{name}: a run: expected one of its networks, as {name}:0; see nas front {name}"
    if (file := Path(name, "architecture.yaml")).is_file():
        return f"{name}: expected a network, as {file}"
    return f"{name}: no network: expected a published name, a .yaml file or results/NAME:NUMBER"


def run_of(name: str) -> Run | None:
    """The run of results/NAME:NUMBER, None for any other name."""
    match = TRIAL.fullmatch(name)
    return Run(match["run"]) if match else None


def _own(name: str, arch: Architecture, resolution: int | None) -> Network:
    side = arch.input[1] if resolution is None else resolution
    try:
        asked = _at(arch, side)
        return Network(name, trace(asked), asked)
    except Exception as error:  # a user's block may raise anything
        if side != arch.input[1] and _works(arch, arch.input[1]):
            message = remedy(partial(_works, arch), side, arch.input[1])
            raise InputError(f"{name}: resolution: {message}") from error
        raise InputError(f"{name}: {error}") from error


def _at(arch: Architecture, side: int) -> Architecture:
    return replace(arch, input=(arch.input[0], side, side))


def _works(arch: Architecture, side: int) -> bool:
    try:
        trace(_at(arch, side))
    except Exception:  # a user's block may raise anything
        return False
    return True
