"""What classes and their parameters are called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from nas.exporting.source.calls import Hole
from nas.exporting.source.scopes import Scope

NAMES = {"se": "SqueezeExcite", "cbam": "CBAM"}
GHOST = ["primary", "cheap"]  # how a Ghost module's layers begin
WIDTHS = ("inputs", "outputs", "groups", "channels", "width")


def class_name(scope: Scope, block: str | None) -> str:
    """Of a scope, `block` being what its architecture calls it."""
    if [item.name for item in scope.items[:2]] == GHOST:
        return "GhostModule"
    return block or NAMES.get(scope.name) or _camel(scope.name)


def _camel(name: str) -> str:
    """mixed_5b → Mixed, branch_large → BranchLarge, 0 → Branch."""
    stem = re.sub(r"_?\d*[a-z]?$", "", name) if re.search(r"\d[a-z]?$", name) else name
    words = re.findall(r"[^\W_]+", stem)
    found = "".join(word[0].upper() + word[1:] for word in words)
    return found if found[:1].isalpha() else f"Branch{found}"


def param_name(
    name: str, hole: Hole, values: tuple[Any, ...], scopes: Sequence[Scope], taken: set[str]
) -> str:
    """What differs between scopes at a hole of the item `name`: its role, its field, or both."""
    candidates = [*_roles(hole, values, scopes), hole.field, f"{_word(name)}_{hole.field}"]
    if hole.kind == "width":
        candidates[-2:] = [f"{_word(name)}_{'width' if hole.field in WIDTHS else hole.field}"]
    numbered = (f"{candidates[-1]}_{n}" for n in range(2, 1000))
    return next(n for n in (*candidates, *numbered) if n not in taken)


def _roles(hole: Hole, values: tuple[Any, ...], scopes: Sequence[Scope]) -> Iterator[str]:
    """What a width is to the whole block."""
    if hole.kind != "width":
        return
    inputs = tuple(scope.inputs[0][0] for scope in scopes)
    outputs = tuple(scope.output[0] for scope in scopes)
    if values == inputs:
        yield "width" if inputs == outputs else "inputs"
    elif values == outputs:
        yield "outputs"
    elif tuple(2 * value for value in values) in (inputs, outputs):
        yield "half"


def _word(name: str) -> str:
    found = re.sub(r"\W", "_", name)
    return found if found.isidentifier() else f"layer_{found}"
