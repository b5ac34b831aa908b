"""Constructors' calls as text, with holes for their numbers.

The numbers are left open, so that equal forms can be found; `nas.exporting.source.classes` fills
them with literals or with the parameters of a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

WIDTH = 100  # columns of a line


@dataclass(frozen=True, slots=True)
class Hole:
    """A setting that may differ between layers of one form; `kind`: width, kernel, stride, …"""

    kind: str
    field: str
    value: Any


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument, by keyword if it has one, left out where its text is `default`."""

    value: Hole | Call
    keyword: str | None = None
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A constructor's call."""

    function: str
    args: tuple[Arg, ...] = ()

    def holes(self) -> Iterator[Hole]:
        """In order, those of nested calls too."""
        for arg in self.args:
            if isinstance(arg.value, Call):
                yield from arg.value.holes()
            else:
                yield arg.value


Texts: TypeAlias = Iterator[str]  # of the holes of a call, in order


def written(call: Call, texts: Texts, indent: int, taken: int = 0) -> str:
    """The call as text, on one line where that has `taken` columns and more to spare."""
    parts = [part for arg in call.args if (part := _argument(arg, texts, indent + 4)) is not None]
    parts = _runs(parts, WIDTH - indent - 4)
    line = f"{call.function}({', '.join(parts)})"
    if indent + taken + len(line) <= WIDTH and "\n" not in line:
        return line
    pad = " " * (indent + 4)
    return f"{call.function}(\n" + "".join(f"{pad}{part},\n" for part in parts) + f"{' ' * indent})"


def _argument(arg: Arg, texts: Texts, indent: int) -> str | None:
    keyword = f"{arg.keyword}=" if arg.keyword else ""
    if isinstance(arg.value, Call):
        return keyword + written(arg.value, texts, indent, len(keyword) + 1)
    text = next(texts)
    return None if text == arg.default else keyword + text


def _runs(parts: Sequence[str], width: int) -> list[str]:
    """Equal calls in a row as a loop; `width` columns are there for a line."""
    found: list[str] = []
    for part, group in groupby(parts):
        count = len(list(group))
        if count == 1 or not part.endswith(")"):
            found += [part] * count
            continue
        loop = f"*({part} for _ in range({count}))"
        if len(loop) >= width or "\n" in part:
            pad = " " * (WIDTH - width)
            deeper = part.replace("\n", "\n    ")
            loop = f"*(\n{pad}    {deeper}\n{pad}    for _ in range({count})\n{pad})"
        found.append(loop)
    return found


def literal(value: Any) -> str:
    """A setting as Python text; a square kernel is one number."""
    if isinstance(value, tuple) and value[0] == value[1]:
        value = value[0]
    return f'"{value}"' if isinstance(value, str) else repr(value)
