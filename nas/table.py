"""A table of results to search instead of training: encodings, an accuracy and costs, a row each.

Hypervolume is a share of the true front's: accuracy is turned into an error, every axis is scaled
to the true front's range, and the reference is 1.1 on each.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from nas.arch import hint
from nas.errors import InputError
from nas.pareto import Points, hypervolume, non_dominated

REFERENCE = 1.1
CHARS = "chars"  # arch:chars, a parameter a character


@dataclass(frozen=True)
class Table:
    """Rows of texts that encode a network, and its results; `values`: (rows, objectives)."""

    path: str
    parameters: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...] = field(repr=False)
    objectives: tuple[str, ...]  # accuracy, then costs
    values: Points = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> int:
        """Combinations of the encoded values; more than rows where some are missing."""
        return prod(len(d.choices) for d in self.distributions.values())

    @cached_property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        columns = zip(*self.keys, strict=True)
        values = (tuple(sorted(set(column))) for column in columns)
        named = zip(self.parameters, values, strict=True)
        return {name: CategoricalDistribution(choices) for name, choices in named}

    def row(self, params: Mapping[str, Any]) -> int | None:
        """The row of params, None where the table has none."""
        return self._rows.get(tuple(params[name] for name in self.parameters))

    def has(self, params: Mapping[str, Any]) -> bool:
        """Whether there is a row of these params."""
        return self.row(params) is not None

    def params(self, row: int) -> dict[str, str]:
        return dict(zip(self.parameters, self.keys[row], strict=True))

    def share(self, rows: Sequence[int]) -> float:
        """Hypervolume of some rows over that of all."""
        minimise = [False] * len(self.objectives)
        return hypervolume(self._scaled[rows], self._reference, minimise) / self._whole

    @cached_property
    def _rows(self) -> dict[tuple[str, ...], int]:
        return {key: row for row, key in enumerate(self.keys)}

    @cached_property
    def _scaled(self) -> Points:
        """Losses, from 0 to 1 over the true front."""
        losses = self.values * ([-1.0] + [1.0] * (len(self.objectives) - 1))
        front = losses[non_dominated(losses, [False] * len(self.objectives))]
        span = np.ptp(front, axis=0)
        return np.asarray((losses - front.min(axis=0)) / np.where(span > 0, span, 1.0))

    @property
    def _reference(self) -> list[float]:
        return [REFERENCE] * len(self.objectives)

    @cached_property
    def _whole(self) -> float:
        return hypervolume(self._scaled, self._reference, [False] * len(self.objectives))


def read_table(
    path: str | Path, encode: Sequence[str], accuracy: str, costs: Sequence[str]
) -> Table:
    """Read a CSV file; raises InputError that names the line or the column.

    `encode`: columns, read as text (00000012 is not 12); NAME:chars is a parameter a character.
    """
    sheet, objectives = Sheet.read(path), (accuracy, *costs)
    if not encode or not costs:
        raise InputError(f"{path}: expected a column or more for --encode and for --cost")
    if len(set(objectives)) < len(objectives):
        raise InputError(f"{path}: {', '.join(objectives)}: expected each objective once")
    parameters: dict[str, Sequence[str]] = {}
    for name in encode:
        parameters |= sheet.parameters(name)
    values = np.stack([sheet.numbers(name) for name in objectives], axis=1)
    keys = list(zip(*parameters.values(), strict=True))
    rows = sheet.distinct(keys, values)
    found = tuple(keys[row] for row in rows)
    return Table(str(path), tuple(parameters), found, objectives, values[rows])


@dataclass(frozen=True, slots=True)
class Sheet:
    """The texts of a CSV file by column, with the line of each row."""

    path: str
    lines: Sequence[int]
    columns: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, path: str | Path) -> Sheet:
        try:
            with Path(path).open(newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                header = [name.strip() for name in next(reader, [])]
                rows = [(reader.line_num, row) for row in reader if row]
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file; expected a CSV table with a header") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: not a CSV table in UTF-8: {error}") from error
        if not rows:
            raise InputError(f"{path}: expected a row of results or more below the header")
        if twice := [name for name in header if header.count(name) > 1]:
            raise InputError(f"{path}:1: two columns are named {twice[0]!r}")
        for line, row in rows:
            if (count := len(row)) != len(header):
                raise InputError(
                    f"{path}:{line}: expected {len(header)} fields, as in the header, got {count}"
                )
        texts = zip(*(map(str.strip, row) for _, row in rows), strict=True)
        lines = [line for line, _ in rows]
        return cls(str(path), lines, dict(zip(header, map(list, texts), strict=True)))

    def column(self, name: str) -> Sequence[str]:
        if name not in self.columns:
            raise InputError(f"{self.path}: no column {name!r}; {hint(name, self.columns)}")
        return self.columns[name]

    def parameters(self, name: str) -> dict[str, Sequence[str]]:
        """A column as it is, or NAME:chars as one a character."""
        column, _, how = name.partition(":")
        if how not in ("", CHARS):
            raise InputError(f"--encode {name!r}: expected {column} or {column}:{CHARS}")
        texts = self.column(column)
        for line, text in zip(self.lines, texts, strict=True):
            if not text:
                raise InputError(f"{self.path}:{line}: {column} is empty; every row needs its own")
            if how and len(text) != len(texts[0]):
                raise InputError(
                    f"{self.path}:{line}: {column} {text!r}: expected {len(texts[0])} characters, "
                    f"as in {texts[0]!r}"
                )
        if not how:
            return {column: texts}
        return {f"{column}.{i}": [text[i] for text in texts] for i in range(len(texts[0]))}

    def numbers(self, name: str) -> Points:
        """(rows,) finite numbers."""
        found = []
        for line, text in zip(self.lines, self.column(name), strict=True):
            try:
                found.append(float(text))
            except ValueError:
                found.append(math.nan)
            if not math.isfinite(found[-1]):
                raise InputError(f"{self.path}:{line}: {name} {text!r}: expected a number")
        return np.array(found)

    def distinct(self, keys: Iterable[tuple[str, ...]], values: Points) -> list[int]:
        """The first row of each encoding; raises InputError where two rows of one disagree."""
        first: dict[tuple[str, ...], int] = {}
        for row, key in enumerate(keys):
            other = first.setdefault(key, row)
            if (values[row] != values[other]).any():
                raise InputError(
                    f"{self.path}:{self.lines[row]}: {' '.join(key)} has other results in line "
                    f"{self.lines[other]}; encode what tells them apart"
                )
        return list(first.values())
