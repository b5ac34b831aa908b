"""An architecture as numbers that a model of its accuracy goes by.

Canonical: what no block reads has no part in it, and settings that make one architecture are one
row. Costs and widths enter by their logarithms, since errors fall with powers of them. There are
two groups of numbers, how large it is and how it is made, for a model that learns one length scale
of each: a few dozen trials cannot tell a hundred apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log2
from typing import Any

from nas.arch import Stage
from nas.blocks import name_of
from nas.space import Candidate, Form, Space, Value

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
        if key == "block":
            found += _of_forms([space.forms[str(name)] for name in parameter.values])
        else:
            found += _of_values(key, parameter.values)
    return [column for column in dict.fromkeys(found) if column[0] != "width"]


def _of_forms(forms: Sequence[Form]) -> list[Column]:
    """Which block it is, and what the names of a space's own settle."""
    found: list[Column] = _of_values("block", [form.block for form in forms])
    for key in dict.fromkeys(key for form in forms for key, _ in form.settings):
        found += _of_values(key, [v for form in forms for k, v in form.settings if k == key])
    return found


def _of_values(key: str, values: Iterable[Value]) -> list[Column]:
    words = [value for value in values if isinstance(value, str)]
    return [(key, word) for word in words] if words else [(key, None)]


def _stage(stage: Stage, columns: list[Column]) -> tuple[float, ...]:
    known: dict[str, Any] = {"block": name_of(stage.block), "depth": stage.depth}
    row = []
    for key, word in columns:
        value = known.get(key, getattr(stage.block, key, 0))
        row.append(float(value == word if word is not None else value))
    return tuple(row)
