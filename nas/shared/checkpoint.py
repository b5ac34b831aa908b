"""A shared network in a folder, so that any process can score parts of it.

shared.json           what it is: layout, how it was trained, its curve, the steps of its weights
weights.safetensors   its tensors by name, when it is trained
state.safetensors     until then: all that going on needs
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from nas.arch import Architecture
from nas.errors import InputError
from nas.records import read_json, write_atomic, write_json
from nas.shared.layout import Layout
from nas.shared.slices import state_dict

FORMAT = 1  # of shared.json, and of what its tensors mean
FACTS, WEIGHTS, STATE = "shared.json", "weights.safetensors", "state.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained shared network by its folder; `id` is 12 hex digits of its weights."""

    path: str
    id: str


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The tensors of a shared network by name, and where they belong."""

    layout: Layout
    tensors: Mapping[str, Tensor]

    def state_dict(self, arch: Architecture) -> dict[str, Tensor]:
        """An architecture's own weights by the names of `nas.build(arch)`; raises Outgrown."""
        return state_dict(self.layout, self.tensors, arch)


def save(folder: Path, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> Checkpoint:
    """Write a trained network; what training needed is deleted."""
    content = safetensors.torch.save({k: t.contiguous() for k, t in tensors.items()})
    write_atomic(folder / WEIGHTS, content)
    write_json(folder / FACTS, {**facts, "id": _digest(content)})
    (folder / STATE).unlink(missing_ok=True)
    return Checkpoint(str(folder), _digest(content))


def find(folder: Path) -> Checkpoint | None:
    """The trained network of a folder, None where there is none yet."""
    facts = read_facts(folder)
    return Checkpoint(str(folder), facts["id"]) if facts and "id" in facts else None


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
    if layout and facts["layout"] != layout.to_dict():
        raise InputError(
            f"{folder / FACTS}: it is of another space, or of another version of its blocks; "
            "train it again in another folder"
        )
    return facts


@lru_cache(maxsize=2)
def load(checkpoint: Checkpoint) -> Weights:
    """The weights of a checkpoint, read once a process; raises InputError."""
    folder = Path(checkpoint.path)
    facts = read_facts(folder)
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / WEIGHTS}: {error.strerror}") from None
    if facts is None or _digest(content) != checkpoint.id:
        raise InputError(f"{folder}: expected the shared network {checkpoint.id}, got another")
    return Weights(Layout.from_dict(facts["layout"]), safetensors.torch.load(content))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()
