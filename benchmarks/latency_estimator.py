"""How well are latencies estimated of networks that were never timed? Two commands:

    python benchmarks/latency_estimator.py measure [SECONDS]     # writes latency_estimator.json.gz
    python benchmarks/latency_estimator.py                       # writes latency_estimator.csv

The first one times three sets of networks on this device, by the default back end, for as long as
it takes, and goes on where it was stopped: what `nas latency build` times; 100 other random
networks of all families; all published networks. No network of the last two is ever fitted. Each
network is timed in rounds between which all others are timed, and its time is the median. Build's
networks have two rounds, as in a build; the others nine, since their own error would count as
the estimator's.

The second one fits estimators to the first N of the first set and looks at the other two. Beside
them stand MACs alone and a linear model of MACs and bytes, fitted to the same networks for the
least relative error. `error` is the mean of |estimate/measured − 1|, `within_10` the share where
that is at most 10 %, `covered` that of times inside the 95 % interval, whose median half width is
`half_width`; `noise` is the mean error of a set's own times: that of one half of a network's
rounds against the other half.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from nas import reference
from nas.arch import Architecture, trace
from nas.cost import cost
from nas.graph import Graph
from nas.latency import LatencyEstimator, calibrate
from nas.latency.build import NETWORKS, ROUNDS, time_round
from nas.latency.device import Device
from nas.latency.sample import sample_networks
from nas.records import append_line, read_lines

OUT = Path(__file__).with_suffix(".csv")
DATA = Path(__file__).with_suffix(".json.gz")
LOG = Path(__file__).with_suffix(".jsonl")  # of an unfinished measuring
RANDOM, MORE = 100, 9  # networks, rounds
SIZES = (30, 60, 100, 200, 400, 700, NETWORKS)

Row = dict[str, Any]


# Measuring ---------------------------------------------------------------------------------------


def networks() -> dict[str, list[str | Architecture]]:
    """The three sets."""
    return {
        "build": list(sample_networks(NETWORKS, seed=0)),
        "random": list(sample_networks(RANDOM, seed=7)),
        "published": list(reference.names()),
    }


def graph_of(network: str | Architecture) -> Graph:
    return reference.load(network) if isinstance(network, str) else trace(network)


def jobs(sets: dict[str, list[Any]]) -> Iterator[tuple[int, str, int]]:
    """(round, set, network) such that the sets are spread over each other."""
    for number in range(MORE):
        turns = [
            ((i + 0.5) / len(own), name, i)
            for name, own in sets.items()
            for i in range(len(own))
            if number < (ROUNDS if name == "build" else MORE)
        ]
        yield from ((number, name, i) for _, name, i in sorted(turns))


def measure(seconds: float) -> None:
    device, sets = Device.here("onnxruntime", 1), networks()
    if not LOG.exists():
        head = {**device.to_dict(), "reference_ms": calibrate(seconds=10)}
        append_line(LOG, json.dumps(head))
    head, *lines = read_lines(LOG, repair=True)
    done = {(line["round"], line["set"], line["network"]) for line in lines}
    end = time.monotonic() + seconds
    for number, name, i in jobs(sets):
        if (number, name, i) in done:
            continue
        if time.monotonic() > end:
            sys.exit("not finished; the same command goes on")
        ms = time_round(graph_of(sets[name][i]), device) * head["reference_ms"]
        line = {"round": number, "set": name, "network": i, "ms": round(ms, 5)}
        append_line(LOG, json.dumps(line))
        print(f"\r{line}   ", end="", file=sys.stderr)
    write(head, sets, read_lines(LOG)[1:])


def write(head: Row, sets: dict[str, list[Any]], lines: Sequence[Row]) -> None:
    rounds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for line in lines:
        rounds[line["set"], line["network"]].append(line["ms"])
    rows = [
        {"set": name, "network": plain(network), "ms": rounds[name, i]}
        for name, own in sets.items()
        for i, network in enumerate(own)
    ]
    text = json.dumps({"device": head, "networks": rows}, separators=(",", ":"))
    DATA.write_bytes(gzip.compress(text.encode(), mtime=0))
    LOG.unlink()


def plain(network: str | Architecture) -> Any:
    return network if isinstance(network, str) else network.to_dict()


# Comparing ---------------------------------------------------------------------------------------


def recorded(path: Path = DATA) -> dict[str, list[tuple[Graph, list[float]]]]:
    """Set → its networks, each with the milliseconds of its rounds."""
    found = defaultdict(list)
    for row in json.loads(gzip.decompress(path.read_bytes()))["networks"]:
        network = row["network"]
        named = network if isinstance(network, str) else Architecture.from_dict(network)
        found[row["set"]].append((graph_of(named), row["ms"]))
    return dict(found)


Predict = Callable[[Graph], float]


def macs_alone(graphs: Sequence[Graph], ms: Sequence[float]) -> Predict:
    return linear(graphs, ms, lambda c: (c.macs,))


def macs_and_bytes(graphs: Sequence[Graph], ms: Sequence[float]) -> Predict:
    return linear(graphs, ms, lambda c: (1, c.macs, c.traffic))


def linear(graphs: Sequence[Graph], ms: Sequence[float], terms: Callable[..., Any]) -> Predict:
    """Rates of the least relative error."""
    rows = np.array([terms(cost(graph)) for graph in graphs], float) / np.array(ms)[:, None]
    scale = np.linalg.norm(rows, axis=0)
    rates = nnls(rows / scale, np.ones(len(ms)))[0] / scale
    return lambda graph: float(rates @ np.array(terms(cost(graph)), float))


def judged(estimates: np.ndarray, ms: np.ndarray) -> Row:
    errors = np.abs(estimates / ms - 1)
    return {
        "error": round(float(errors.mean()), 4),
        "within_10": round(float((errors <= 0.1).mean()), 3),
        "kendall_tau": round(float(kendalltau(estimates, ms).statistic), 3),
    }


def compare(sets: dict[str, list[tuple[Graph, list[float]]]]) -> list[Row]:
    rows: list[Row] = []
    tests = {name: sets[name] for name in ("random", "published")}
    tests["both"] = [pair for own in tests.values() for pair in own]
    for count in SIZES:
        graphs = [graph for graph, _ in sets["build"][:count]]
        times = [median(rounds) for _, rounds in sets["build"][:count]]
        estimator = LatencyEstimator.fit(graphs, times)
        baselines = {
            "MACs alone": macs_alone(graphs, times),
            "MACs and bytes": macs_and_bytes(graphs, times),
        }
        for name, own in tests.items():
            ms = np.array([median(rounds) for _, rounds in own])
            found = [estimator.predict(graph) for graph, _ in own]
            inside = [e.low <= t <= e.high for e, t in zip(found, ms, strict=True)]
            row = {"fitted_on": count, "tested_on": name, "networks": len(own)}
            rows.append(
                row
                | {"method": "estimator"}
                | judged(np.array([e.ms for e in found]), ms)
                | {
                    "covered": round(float(np.mean(inside)), 3),
                    "half_width": round(median(e.high / e.ms - 1 for e in found), 3),
                    "noise": round(noise(own), 4),
                }
            )
            for method, predict in baselines.items():
                estimates = np.array([predict(graph) for graph, _ in own])
                rows.append(row | {"method": method} | judged(estimates, ms))
    return rows


def noise(own: Sequence[tuple[Graph, list[float]]]) -> float:
    """Mean relative difference of a network's odd rounds from its even ones."""
    halves = [(median(ms[::2]), median(ms[1::2])) for _, ms in own]
    return float(np.mean([abs(a / b - 1) for a, b in halves]))


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        return measure(float(sys.argv[2]) if len(sys.argv) > 2 else float("inf"))
    rows = compare(recorded())
    with OUT.open("w", newline="") as file:
        names = ("fitted_on", "tested_on", "networks", "method", *judged(np.ones(2), np.ones(2)))
        columns = [*names, "covered", "half_width", "noise"]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(OUT.read_text(), end="")
    return None


if __name__ == "__main__":
    main()
