"""`nas latency build | bundle | import`: tables of devices; `nas front` for one of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from nas.latency.build import Job
    from nas.latency.table import DeviceTable
    from nas.run import Run

Add = Callable[[str, str, Callable[[argparse.Namespace], Any]], argparse.ArgumentParser]


def add_verbs(add: Add) -> None:
    """Declare the verbs; `add(name, about, run)` makes a parser."""
    build = add("build", "measure this machine", _build)
    build.add_argument("--out", required=True, metavar="FILE", help="the table, as device.json")
    build.add_argument("--backend", default="onnxruntime", metavar="NAME", help="(onnxruntime)")
    build.add_argument("--threads", type=int, default=1, metavar="N", help="of the back end (1)")
    build.add_argument("--networks", type=int, metavar="N", help="that are timed")
    build.add_argument("--blocks", action="append", metavar="MODULE", help="with your back end")
    build.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks (0)")
    bundle = add("bundle", "write what another device needs to be measured", _bundle)
    bundle.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    bundle.add_argument("--networks", type=int, metavar="N", help="that will be timed")
    bundle.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks (0)")
    imported = add("import", "make a table of what a bundle measured", _import)
    imported.add_argument("measurements", metavar="measurements.json")
    imported.add_argument("--out", required=True, metavar="FILE", help="the table, as phone.json")
    for parser in (build, bundle, imported):
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _build(options: argparse.Namespace) -> None:
    from nas.latency.build import NETWORKS, build_table

    out = _json_file(options.out)
    try:
        table = build_table(
            out,
            backend=options.backend,
            threads=options.threads,
            networks=_count(options, NETWORKS),
            seed=options.seed,
            track=_track,
        )
    except KeyboardInterrupt:
        print("all finished rounds are kept; the same command goes on", file=sys.stderr)
        raise
    _print(options, table)


def _bundle(options: argparse.Namespace) -> None:
    from nas.latency.bundle import NETWORKS, write_bundle

    count = len(write_bundle(options.out, networks=_count(options, NETWORKS), seed=options.seed))
    if options.json:
        print(json.dumps({"bundle": options.out, "networks": count}))
        return
    print(f"{options.out}: {count} networks. Copy it to the device and run: python measure.py")
    print("Then bring measurements.json back: nas latency import measurements.json --out FILE")


def _import(options: argparse.Namespace) -> None:
    from nas.latency.bundle import import_table

    _print(options, import_table(options.measurements, _json_file(options.out)))


def _json_file(path: str) -> str:
    if not path.endswith(".json"):
        raise InputError(f"--out {path}: expected a .json file")
    return path


def _count(options: argparse.Namespace, usual: int) -> int:
    from nas.latency.estimator import FEWEST

    count = usual if options.networks is None else int(options.networks)
    if count < FEWEST:
        raise InputError(f"--networks {count}: expected {FEWEST} or more")
    return count


def _track(jobs: Sequence[Job], total: int) -> Iterable[Job]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        jobs, "rounds of networks", total, total - len(jobs), console=console, transient=True
    )


def _print(options: argparse.Namespace, table: DeviceTable) -> None:
    from nas.latency.table import summary

    found = summary(table)
    if options.json:
        print(json.dumps({"table": options.out, **found}, indent=2, ensure_ascii=False))
        return
    print(f"{options.out}: {table.device}, from {found['networks']} networks")
    print(f"Next: nas search --latency-table {options.out} --budget 20ms-latency")


# nas front ---------------------------------------------------------------------------------------


def add_front_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--latency-table", metavar="FILE", help="latencies as of this device")
    parser.add_argument("--budget", action="append", metavar="LIMIT", help="there: 15ms-latency")


def front_runs(options: argparse.Namespace) -> Sequence[Run]:
    """The runs that a front is asked of, by the table's estimates where there is one."""
    from nas.run import Run

    if options.latency_table is None:
        if options.budget:
            raise InputError("--budget: expected with --latency-table, for another device")
        return [Run(path) for path in options.runs]
    from nas.device_run import DeviceRun
    from nas.latency import DeviceTable

    table = DeviceTable.load(options.latency_table)
    return [DeviceRun(path, table, options.budget or ()) for path in options.runs]


def about(run: Run) -> dict[str, Any]:
    """What a run says of another device, as plain data; nothing where it is of its own."""
    from nas.device_run import DeviceRun, promising, regions

    if not isinstance(run, DeviceRun):
        return {}
    found = regions(run)
    best = promising(found)
    return {
        "device": run.table.device.to_dict(),
        "regions": [region.to_dict() for region in found],
        "search": best.to_dict() if best else None,
    }


def print_about(run: Run) -> None:
    from nas.device_run import DeviceRun, advice

    if isinstance(run, DeviceRun):
        print(f"Latencies are estimates for {run.table.device}.")
        print(advice(run))
