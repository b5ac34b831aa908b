"""A shared network in a folder, so that any process can score parts of it.

shared.json           what it is: layout, how it was trained, its curve, the steps of its weights
weights.safetensors   its tensors by name, when it is trained
state.safetensors     until then: all that going on needs

To another machine the weights go as `Packed`, once, and the folder stays where it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors.torch
from torch import Tensor

from nas.arch import Architecture
from nas.errors import InputError
from nas.graph import Graph
from nas.records import Result, read_json, write_atomic, write_json
from nas.shared.layout import Layout
from nas.shared.slices import state_dict
from nas.training.weights import to_safetensors

if TYPE_CHECKING:
    from nas.evaluate import Task

FORMAT = 1  # of shared.json, and of what its tensors mean
FACTS, WEIGHTS, STATE = "shared.json", "weights.safetensors", "state.safetensors"
GIVEN: dict[str, Weights] = {}  # by id: what a worker gets from its driver


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained shared network by its folder, which only its own machine looks into; `id` is 12 hex
    digits of its weights."""

    path: str
    id: str

    def score(
        self, network: Architecture | Graph, task: Task, on_begin: Callable[[], None]
    ) -> Result:
        """What a network's part of it scores; as `nas.evaluate.AtOnce` wants it."""
        from nas.shared.scoring import score_part  # which builds on `nas.evaluate`

        return score_part(network, task, on_begin)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The tensors of a shared network by name, and where they belong."""

    layout: Layout
    tensors: Mapping[str, Tensor]

    def state_dict(self, arch: Architecture) -> dict[str, Tensor]:
        """An architecture's own weights by the names of `nas.build(arch)`; raises Outgrown."""
        return state_dict(self.layout, self.tensors, arch)


class Packed(NamedTuple):
    """What `Weights` are made of, to be sent: a layout as plain data, and weights.safetensors."""

    layout: dict[str, Any]
    content: bytes


def save(folder: Path, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> Checkpoint:
    """Write a trained network; what training needed is deleted."""
    content = to_safetensors(tensors)
    write_atomic(folder / WEIGHTS, content)
    write_json(folder / FACTS, {**facts, "id": _digest(content)})
    (folder / STATE).unlink(missing_ok=True)
    return Checkpoint(str(folder), _digest(content))


def find(folder: Path) -> Checkpoint | None:
    """The trained network of a folder, None where there is none yet."""
    facts = read_facts(folder)
    return Checkpoint(str(folder), facts["id"]) if facts and "id" in facts else None


def check_same(folder: Path, id: str | None) -> None:
    """Raise InputError unless a folder still has the network that a run's trials are parts of.

    `id` is that network's, None where there is none yet.
    """
    found = find(folder)
    if id and (found is None or found.id != id):
        raise InputError(
            f"{folder}: expected the shared network {id}, of which this run's trials are parts, "
            f"got {found.id if found else 'none'}; put it back, or begin another run"
        )


def read_facts(folder: Path, layout: Layout | None = None) -> dict[str, Any] | None:
    """shared.json, None where there is none; raises InputError where it is of another layout."""
    if not (folder / FACTS).exists():
        return None
    facts = read_json(folder / FACTS)
    if facts.get("format") != FORMAT:
        raise InputError(
            f"{folder / FACTS}: expected format {FORMAT}, got {facts.get('format')!r}: it was "
            "written by another version; train it again in another folder"
        )
    if layout and facts.get("layout") != layout.to_dict():
        raise InputError(
            f"{folder / FACTS}: it is of another space, or of another version of its blocks; "
            "train it again in another folder"
        )
    return facts


def load(checkpoint: Checkpoint) -> Weights:
    """The weights of a checkpoint: those that were given, else read once; raises InputError."""
    return GIVEN.get(checkpoint.id) or _read(checkpoint)


@lru_cache(maxsize=2)
def _read(checkpoint: Checkpoint) -> Weights:
    return _unpacked(pack(checkpoint))


def pack(checkpoint: Checkpoint) -> Packed:
    """A checkpoint as it is sent; raises InputError where its files are not what was written."""
    folder = Path(checkpoint.path)
    facts = read_facts(folder)
    if facts is None:
        raise InputError(f"{folder / FACTS}: No such file or directory")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / WEIGHTS}: {error.strerror}") from None
    _check(checkpoint, content, f"{folder / WEIGHTS}")
    return Packed(facts["layout"], content)


def give(checkpoint: Checkpoint, packed: Packed) -> None:
    """Let this process, a worker, have what its driver has packed, in place of all earlier ones.

    Raises InputError where it is not what was sent.
    """
    _check(checkpoint, packed.content, "weights from the driver")
    GIVEN.clear()
    GIVEN[checkpoint.id] = _unpacked(packed)


def _check(checkpoint: Checkpoint, content: bytes, where: str) -> None:
    if (found := _digest(content)) != checkpoint.id:
        raise InputError(
            f"{where}: expected the shared network {checkpoint.id}, got {found}: it is damaged or "
            "another one; put the right one back, or begin another run"
        )


def _unpacked(packed: Packed) -> Weights:
    return Weights(Layout.from_dict(packed.layout), safetensors.torch.load(packed.content))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()
