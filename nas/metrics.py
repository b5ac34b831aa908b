"""What a network is judged by: one table, which budgets, records, tables and plots read."""

from __future__ import annotations

from dataclasses import dataclass, field

COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9}
BYTES |= {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
SCORE = "score"  # the column of what a search ranks by
MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True, slots=True)
class Metric:
    """`column` names it in tables, `units` are those that a budget may use."""

    name: str
    column: str
    label: str
    units: dict[str, float] = field(default_factory=dict)
    maximise: bool = False

    def format(self, value: float) -> str:
        """A value as people read it: 300.8 M, 4.2 MB, 5.61 ms, 97.2 %."""
        if self.maximise:
            return f"{100 * value:.2f} %"
        if self.units is MILLISECONDS:
            return f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
        suffix = "B" if self.units is BYTES else ""
        for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= scale:
                return f"{value / scale:.4g} {letter}{suffix}"
        return f"{value:.4g} {suffix}".strip()


def plural(count: int, word: str) -> str:
    """1 epoch, 3 epochs, 1,000 epochs."""
    return f"{count:,} {word}{'s' * (count != 1)}"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", SCORE, "validation accuracy", maximise=True),  # or nas.scores has it
        Metric("latency", "latency_ms", "latency (ms)", MILLISECONDS),
        Metric("macs", "macs", "multiply–accumulates", COUNTS),
        Metric("params", "params", "parameters", COUNTS),
        Metric("activations", "activations", "activations", COUNTS),
        Metric("traffic", "traffic_bytes", "memory traffic (bytes)", BYTES),
        Metric("memory", "memory_bytes", "peak activation memory (bytes)", BYTES),
        Metric("size", "size_bytes", "size of the parameters (bytes)", BYTES),
    )
}
COSTS = tuple(name for name, metric in METRICS.items() if not metric.maximise)
COUNTED = tuple(name for name in COSTS if name != "latency")  # known without running anything
ALIASES = {"flops": "macs"}  # the field calls one multiply–accumulate one flop
