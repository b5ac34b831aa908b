"""The tables of `nas profile` that go beyond counts; their data are plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nas.analysis.machine import cache_file
from nas.metrics import METRICS
from nas.show import make_table, print_table

Row = dict[str, Any]


def bytes_of(value: float) -> str:
    """Bytes as people read them."""
    return METRICS["traffic"].format(value)


def number(value: float | None, digits: int = 1) -> str:
    """A measured number; nothing where there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


# nas profile --layers ----------------------------------------------------------------------------

COUNTS: dict[str, Callable[[Row], str]] = {
    "params": lambda row: f"{row['params']:,}",
    "macs": lambda row: f"{row['macs']:,}",
    "activations": lambda row: f"{row['activations']:,}",
    "traffic": lambda row: bytes_of(row["traffic_bytes"]),
    "FLOP/byte": lambda row: number(row["intensity"]),
    "live": lambda row: bytes_of(row["memory_bytes"]),
}


def print_layers(network: Row) -> None:
    """Layers with counts, and with bound and time where they were measured; a line of totals."""
    timed = {layer["path"]: layer for layer in network.get("roofline", {}).get("layers", ())}
    extra = ["bound", "ms"] if timed else []
    table = make_table(network["name"], "path", "kind", "output", *COUNTS, *extra, text=2)
    for row in network["layers"]:
        cells = [row["path"], row["kind"], "×".join(map(str, row["shape"]))]
        cells += [show(row) for show in COUNTS.values()]
        if timed:
            own = timed[row["path"]]
            cells += [own["bound"] or "", "fused" if own["ms"] is None else number(own["ms"], 3)]
        table.add_row(*cells)
    table.add_section()
    total = ["total", "", "", *(show(network) for show in COUNTS.values())]
    table.add_row(*total, *(["", number(network["roofline"]["ms"], 3)] if timed else []))
    print_table(table)


# nas profile --compare ---------------------------------------------------------------------------

METRIC_ROWS: dict[str, Callable[[Row], str]] = {
    "resolution": lambda row: str(row["resolution"]),
    **{name: show for name, show in COUNTS.items() if name != "live"},
    "peak activation memory": COUNTS["live"],
    "size, fp32": lambda row: bytes_of(row["size_bytes"]),
    "size, int8": lambda row: bytes_of(row["int8_bytes"]),
    "operators": lambda row: str(row["operators"]),
}


def print_comparison(networks: Sequence[Row]) -> None:
    """Metrics as rows, networks as columns."""
    table = make_table("", "metric", *(network["name"] for network in networks))
    for name, show in METRIC_ROWS.items():
        table.add_row(name, *map(show, networks))
    for i, rule in enumerate(networks[0].get("guidelines", ())):
        shown = (_shown(network["guidelines"][i]) for network in networks)
        table.add_row(f"{rule['name']} {rule['short']}", *shown)
    if "latency_ms" in networks[0]:
        shown = (METRICS["latency"].format(network["latency_ms"]) for network in networks)
        table.add_row("latency", *shown)
    print_table(table)


# nas profile --guidelines ------------------------------------------------------------------------


WORST: dict[str, Callable[[float], str]] = {
    "G1": lambda value: f"+{bytes_of(value)}",  # moved beyond the least
    "G2": lambda value: f"+{bytes_of(value)}",  # written beyond a dense convolution
    "G3": lambda value: f"{value:.2f}",
    "G4": bytes_of,
}


def _shown(rule: Row) -> str:
    """A ratio where 1 is best, a share where none is."""
    return f"{rule['value']:.2f}" if rule["best"] else f"{rule['value']:.1%}"


def print_guidelines(network: Row) -> None:
    """A line a guideline, and below it the layers that break it most."""
    title = f"{network['name']}: the guidelines of ShuffleNetV2, arXiv:1807.11164"
    table = make_table(title, "", "guideline", "value", "best", text=2)
    for rule in network["guidelines"]:
        table.add_row(rule["name"], rule["about"], _shown(rule), f"{rule['best']:g}")
        for worst in rule["worst"]:
            blame = f"  {worst['path']}: {worst['detail']}"
            table.add_row("", blame, WORST[rule["name"]](worst["value"]))
    print_table(table)


# nas profile --roofline --------------------------------------------------------------------------


def print_roofline(network: Row) -> None:
    """The machine's roofs, and what each kind of layer has of MACs, bytes and time."""
    found = network["roofline"]
    machine = found["machine"]
    ridge = machine["peak"] / machine["bandwidth"]
    print(
        f"{machine['cpu']}, one thread, measured {machine['date']}: {machine['peak']:.0f} GFLOP/s, "
        f"{machine['bandwidth']:.1f} GB/s from memory, {machine['cache']:.0f} GB/s from cache\n"
        f"below {ridge:.1f} FLOP/byte memory bounds a layer; kept in {cache_file()}"
    )
    columns = ("layers", "macs", "traffic", "time", "ms", "GFLOP/s", "bound by memory")
    table = make_table(network["name"], "kind", *columns)
    for row in found["kinds"]:
        bounds = [p["bound"] for p in found["layers"] if p["kind"] == row["kind"] and p["bound"]]
        shares = (f"{row[key]:.1%}" for key in ("macs", "traffic", "time"))
        measured = (number(row["ms"], 2), number(row["gflops"] or None))
        layers = str(row["layers"] or "")
        bound = f"{bounds.count('memory')} of {len(bounds)}" if bounds else ""
        table.add_row(row["kind"], layers, *shares, *measured, bound)
    print_table(table)
    print(
        f"{found['ms']:.2f} ms in all operators; {found['roof_ms']:.2f} ms at the roofs, were all "
        "data to come from memory; layout: the engine's own changes of data layout"
    )
