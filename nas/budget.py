"""Budgets as people write them: 300M-flops, 5M-params, 20ms-latency, 4MB-memory, 2MiB-size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.errors import InputError

COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}
BYTES |= {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}

# metric → units; "flops" is what the field calls macs (one multiply–accumulate, one flop).
METRICS: dict[str, dict[str, float]] = {
    "macs": COUNTS,
    "params": COUNTS,
    "activations": COUNTS,
    "traffic": BYTES,
    "memory": BYTES,
    "size": BYTES,
    "latency": MILLISECONDS,
}
ALIASES = {"flops": "macs"}
EXAMPLES = "300M-flops, 5M-params, 20ms-latency, 4MB-memory or 2MiB-size"
_FORM = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>[A-Za-zµ]*)-(?P<metric>\w+)"
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
                raise InputError(f"budget {text!r}: {metric} has a limit already, give one each")
            limits[metric] = limit
        return cls(tuple(limits.items()))

    def __getitem__(self, metric: str) -> float | None:
        return dict(self.limits).get(metric)

    def excess(self, values: Any) -> dict[str, float]:
        """Relative excess of each limited metric that `values` has; ≤ 0 is within the budget.

        `values` is a mapping or an object with attributes, such as a `Cost`.
        """
        found = {}
        for metric, limit in self.limits:
            value = (
                values.get(metric) if isinstance(values, Mapping) else getattr(values, metric, None)
            )
            if value is not None:
                found[metric] = value / limit - 1
        return found

    def allows(self, values: Any) -> bool:
        """Whether no limited metric of `values` exceeds its limit."""
        return all(excess <= 0 for excess in self.excess(values).values())

    def __str__(self) -> str:
        return ", ".join(f"{format_value(metric, limit)} {metric}" for metric, limit in self.limits)


def _parse(text: str) -> tuple[str, float]:
    match = _FORM.fullmatch(text.strip())
    if not match:
        raise InputError(f"budget {text!r}: expected a number, a unit and a metric, as {EXAMPLES}")
    metric = ALIASES.get(match["metric"], match["metric"])
    if metric not in METRICS:
        known = ", ".join([*ALIASES, *METRICS])
        raise InputError(f"budget {text!r}: unknown metric {metric!r}; known are {known}")
    units = METRICS[metric]
    if match["unit"] not in units:
        expected = ", ".join(unit or "none" for unit in units)
        raise InputError(
            f"budget {text!r}: {match['unit'] or 'no unit'} is no unit of {match['metric']}; "
            f"expected {expected}"
        )
    limit = float(match["number"]) * units[match["unit"]]
    if limit <= 0:
        raise InputError(f"budget {text!r}: expected more than zero")
    return metric, limit


def format_value(metric: str, value: float) -> str:
    """A value as people read it: 300.8 M, 4.2 MB, 5.61 ms."""
    if metric == "latency":
        return f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
    suffix = "B" if METRICS[metric] is BYTES else ""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.4g} {letter}{suffix}"
    return f"{value:.4g} {suffix}".strip()
