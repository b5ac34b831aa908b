"""An architecture as numbers that a model of its accuracy goes by.

Canonical: what no block reads has no part in it, and settings that make one architecture are one
row. Costs and widths enter by their logarithms, since errors fall with powers of them. There are
two groups of numbers, how large it is and how it is made, for a model that learns one length scale
of each: a few dozen trials cannot tell a hundred apart.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log2
from typing import Any

from nas.arch import Stage
from nas.blocks import name_of
from nas.space import Candidate, Space

Row = tuple[tuple[float, ...], tuple[float, ...]]


def encoder(space: Space) -> Callable[[Candidate], Row]:
    """The function that turns candidates of a space into rows of equal length."""
    columns = [_columns(space, f"stages.{i}") for i in range(space.stages)]

    def encode(candidate: Candidate) -> Row:
        arch, cost = candidate.arch, candidate.cost
        stages = zip(arch.stages, columns, strict=True)
        size = (
            *(log2(max(value, 1)) for value in (cost.macs, cost.params, cost.traffic)),
            float(arch.input[1]),
            float(sum(stage.depth for stage in arch.stages)),
        )
        form = (
            *(log2(stage.width) for stage in (arch.stem, *arch.stages)),
            *(number for stage, names in stages for number in _stage(stage, names)),
        )
        return size, form

    return encode


# A column of a stage: a block's name, a field, or a field and one of its values.
Column = tuple[str, Any]


def _columns(space: Space, place: str) -> list[Column]:
    """What may differ at a stage: its block, and fields of numbers or of words."""
    found: list[Column] = []
    for path, parameter in space.parameters.items():
        if not path.startswith(f"{place}."):
            continue
        key = path.rpartition(".")[2]
        words = [value for value in parameter.values if isinstance(value, str)]
        found += [(key, word) for word in words] if words else [(key, None)]
    return [column for column in found if column[0] != "width"]


def _stage(stage: Stage, columns: list[Column]) -> tuple[float, ...]:
    known: dict[str, Any] = {"block": name_of(stage.block), "depth": stage.depth}
    row = []
    for key, word in columns:
        value = known.get(key, getattr(stage.block, key, 0))
        row.append(float(value == word if word is not None else value))
    return tuple(row)
