"""Back ends side by side: `python benchmarks/latency_backends.py` writes latency_backends.csv.

Six published networks at 224 pixels, one image, one thread, by every back end that this machine
can run; prints the table of docs/latency.md. Two to four minutes on a machine that does nothing
else.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

NETWORKS = ("mobilenet_v2_x1_0", "mobilenet_v1_x0_5", "mobilenet_v3_small")
NETWORKS += ("shufflenet_v2_x1_0", "ghostnet_x1_0", "squeezenet1_1")
BACKENDS = ("onnxruntime", "onnxruntime-int8", "openvino", "openvino-bf16", "torch")
COLUMNS = ("network", "backend", "latency_ms", "low", "high", "noisy")
OUT = Path(__file__).with_suffix(".csv")
Row = dict[str, Any]


def measured() -> list[Row]:
    from nas.networks import find_network
    from nas.show import profile

    found = profile([find_network(name) for name in NETWORKS], backends=BACKENDS)
    return [
        {"network": row["name"]} | {key: latency[key] for key in COLUMNS[1:]}
        for row in found
        for latency in row["latency"].values()
    ]


def table(rows: Iterable[Row]) -> str:
    """In Markdown, milliseconds; ~ marks a noisy one."""
    cells = {(row["network"], row["backend"]): _cell(row) for row in rows}
    lines = [["", *BACKENDS], ["---"] * (1 + len(BACKENDS))]
    lines += [[name, *(cells[name, backend] for backend in BACKENDS)] for name in NETWORKS]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Row) -> str:
    return "~" * (str(row["noisy"]) == "True") + f"{float(row['latency_ms']):.1f}"


def main() -> None:
    rows = measured()
    print(table(rows))
    with OUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
