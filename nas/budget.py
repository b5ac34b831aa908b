"""Budgets as people write them: 300M-flops, 5M-params, 20ms-latency, 4MB-memory, 2MiB-size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError
from nas.metrics import ALIASES, COSTS, METRICS

EXAMPLES = "300M-flops, 5M-params, 20ms-latency, 4MB-memory or 2MiB-size"
_FORM = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(?P<unit>[A-Za-zµμ]*)-(?P<metric>\w+)"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Upper limits by metric, in counts, bytes and milliseconds."""

    limits: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, texts: str | Iterable[str]) -> Budget:
        """Read budgets such as `300M-flops`; raises InputError."""
        limits: dict[str, float] = {}
        for text in [texts] if isinstance(texts, str) else texts:
            metric, limit = _parse(text)
            if metric in limits:
                raise InputError(f"budget {text!r}: {metric} has a limit already, give one")
            limits[metric] = limit
        return cls(tuple(limits.items()))

    def __contains__(self, metric: str) -> bool:
        return any(name == metric for name, _ in self.limits)

    def __getitem__(self, metric: str) -> float:
        return dict(self.limits)[metric]

    def excess(self, values: Any) -> dict[str, float]:
        """Relative excess of each limited metric that `values` has; ≤ 0 is within the budget.

        `values` is a mapping or an object with attributes, such as a `Cost`.
        """
        found = {}
        for metric, limit in self.limits:
            known = isinstance(values, Mapping)
            value = values.get(metric) if known else getattr(values, metric, None)
            if value is not None:
                found[metric] = value / limit - 1
        return found

    def allows(self, values: Any) -> bool:
        """Whether no limited metric of `values` exceeds its limit."""
        return all(excess <= 0 for excess in self.excess(values).values())

    def __str__(self) -> str:
        return ", ".join(f"{METRICS[name].format(limit)} {name}" for name, limit in self.limits)


def _parse(text: str) -> tuple[str, float]:
    match = _FORM.fullmatch(str(text).strip())
    if not match:
        raise _error(text, "expected a number, a unit and a metric")
    name = ALIASES.get(match["metric"], match["metric"])
    if name not in COSTS:
        raise _error(text, f"unknown metric {name!r}; known are {', '.join([*ALIASES, *COSTS])}")
    units, unit = METRICS[name].units, match["unit"].replace("μ", "µ")  # Greek mu to micro sign
    if unit not in units:
        got = repr(unit) if unit else "no unit"
        known = ", ".join(unit or "none" for unit in units)
        raise _error(text, f"{got} is not a unit of {match['metric']}; known are {known}")
    limit = float(match["number"]) * units[unit]
    if limit <= 0 or limit == float("inf"):
        raise _error(text, "expected a finite number above zero")
    return name, limit


def _error(text: str, reason: str) -> InputError:
    return InputError(f"budget {text!r}: {reason}, as {EXAMPLES}")
