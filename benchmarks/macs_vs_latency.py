"""Do MACs rank latency? `python benchmarks/macs_vs_latency.py` writes a CSV beside it.

Six networks of four families, and four widths of one family, at 224 pixels, one image, one thread.
The last rows of each set are Kendall's τ of every column against latency, and the probability of
one as large by chance. Of six networks τ has a standard error of about 0.35 where there is no
relation, so only large differences mean something; run it on a machine that does nothing else.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

from nas.analysis import count_layers, this_machine, totals
from nas.analysis.roofline import roof_ms
from nas.cost import cost
from nas.latency import calibrate, measure
from nas.reference import load

SETS = {
    "four families": (
        "mobilenet_v1_x0_5",
        "mobilenet_v2_x1_0",
        "shufflenet_v1_g3_x1_0",
        "shufflenet_v2_x1_0",
        "ghostnet_x1_0",
        "squeezenet1_1",
    ),
    "one family": tuple(f"mobilenet_v2_x{width}" for width in ("0_35", "0_5", "0_75", "1_0")),
}
COLUMNS = ("params", "macs", "activations", "traffic_bytes", "operators", "roof_ms")
OUT = Path(__file__).with_suffix(".csv")

Row = dict[str, Any]


def counted(name: str) -> Row:
    """What is known without running the network, but for the machine's two roofs."""
    graph = load(name)
    known = cost(graph)
    row = {"params": known.params, "macs": known.macs, "activations": known.activations}
    row |= totals(graph)
    row["roof_ms"] = round(roof_ms(count_layers(graph), this_machine()), 3)
    return {column: row[column] for column in COLUMNS}


def measured(name: str, reference_ms: float) -> Row:
    """Latency in milliseconds with its 95 % interval."""
    found = measure(load(name), reference_ms=reference_ms, seconds=2.0)
    times = {"latency_ms": found.latency_ms, "low": found.low, "high": found.high}
    return {key: round(value, 3) for key, value in times.items()} | {"noisy": found.noisy}


def rank(rows: list[Row]) -> list[Row]:
    """Kendall's τ of every column against latency, and its p-value; none for a constant."""
    latency = [row["latency_ms"] for row in rows]
    values = {column: [row[column] for row in rows] for column in COLUMNS}
    varied = {column: own for column, own in values.items() if len(set(own)) > 1}
    found = {column: kendalltau(own, latency) for column, own in varied.items()}
    tau = {column: round(float(result.statistic), 2) for column, result in found.items()}
    chance = {column: round(float(result.pvalue), 2) for column, result in found.items()}
    return [{"network": "kendall_tau"} | tau, {"network": "p_value"} | chance]


def main() -> None:
    reference_ms = calibrate()
    rows: list[Row] = []
    for title, names in SETS.items():
        own = [{"network": n} | counted(n) | measured(n, reference_ms) for n in names]
        rows += [{"set": title} | row for row in own + rank(own)]
    fields = ["set", "network", *COLUMNS, "latency_ms", "low", "high", "noisy"]
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(OUT.read_text(), end="")


if __name__ == "__main__":
    main()
