"""`nas latency build | bundle | import`: tables of devices."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nas.cli.shared import add_json, add_verb, check_folder, print_json
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.latency.build import Job
    from nas.latency.table import DeviceTable


def add(verbs: Any) -> None:
    about = "measure a device, to estimate latencies of it"
    inner = verbs.add_parser("latency", help=about).add_subparsers(metavar="VERB", required=True)
    usage = "--out FILE [options]"
    build = add_verb(inner, "latency build", "measure this machine", _build, usage)
    build.add_argument("--out", required=True, metavar="FILE", help="the table, as device.json")
    build.add_argument("--backend", default="onnxruntime", metavar="NAME", help="(onnxruntime)")
    build.add_argument("--threads", type=int, default=1, metavar="N", help="of the back end (1)")
    build.add_argument("--networks", type=int, metavar="N", help="that are timed")
    build.add_argument("--blocks", action="append", metavar="MODULE", help="with your back end")
    build.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks (0)")
    about, usage = "write what another device needs to be measured", "--out DIR [options]"
    bundle = add_verb(inner, "latency bundle", about, _bundle, usage)
    bundle.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    bundle.add_argument("--networks", type=int, metavar="N", help="that will be timed")
    bundle.add_argument("--seed", type=int, default=0, metavar="N", help="of the networks (0)")
    about, usage = "make a table of what a bundle measured", "measurements.json --out FILE"
    imported = add_verb(inner, "latency import", about, _import, usage)
    imported.add_argument("measurements", metavar="measurements.json")
    imported.add_argument("--out", required=True, metavar="FILE", help="the table, as phone.json")
    for parser in (build, bundle, imported):
        add_json(parser)


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
        print_json({"bundle": options.out, "networks": count})
        return
    print(f"{options.out}: {count} networks. Copy it to the device and run: python measure.py")
    print("Then bring measurements.json back: nas latency import measurements.json --out FILE")


def _import(options: argparse.Namespace) -> None:
    from nas.latency.bundle import import_table

    _print(options, import_table(options.measurements, _json_file(options.out)))


def _json_file(path: str) -> str:
    if not path.endswith(".json"):
        raise InputError(f"--out {path}: expected a .json file")
    check_folder("--out", path)
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
        print_json({"table": options.out, **found})
        return
    print(f"{options.out}: {table.device}, from {found['networks']} networks")
    print(f"Next: nas search --latency-table {options.out} --budget 20ms-latency")
