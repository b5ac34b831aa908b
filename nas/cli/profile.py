"""`nas profile`: count and time networks."""

from __future__ import annotations

import argparse
from typing import Any

from nas.cli.shared import (
    ARCH,
    add_blocks,
    add_json,
    add_verb,
    check_picture,
    check_resolution,
    print_json,
)
from nas.errors import InputError


def add(verbs: Any) -> None:
    about, usage = "count and time networks", "ARCH... [options]"
    parser = add_verb(verbs, "profile", about, _profile, usage)
    parser.add_argument("arch", nargs="*", metavar="ARCH", help=ARCH)
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of its own")
    parser.add_argument("--layers", action="store_true", help="layer by layer")
    parser.add_argument("--compare", action="store_true", help="networks as columns")
    parser.add_argument("--guidelines", action="store_true", help="the four of ShuffleNetV2")
    parser.add_argument("--roofline", metavar="FILE", help="time each layer; .png, .svg or .pdf")
    parser.add_argument("--latency", action="store_true", help="measure it on this machine")
    parser.add_argument("--backend", metavar="NAME,…", help="side by side (onnxruntime)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the back ends (1)")
    parser.add_argument("--list", action="store_true", help="list the published networks")
    add_blocks(parser)
    add_json(parser)


def _profile(options: argparse.Namespace) -> None:
    from nas.networks import find_network
    from nas.show import print_published, profile, published_rows

    check_resolution(options.resolution)
    if options.list:
        rows = published_rows()
        return print_json(rows) if options.json else print_published(rows)
    if not options.arch:
        raise InputError(f"nas profile: expected a network: {ARCH}; --list shows the names")
    if options.compare and len(options.arch) < 2:
        raise InputError("--compare: expected two networks or more")
    if not options.latency and (options.backend or options.threads is not None):
        raise InputError("--backend, --threads: expected with --latency, which they are about")
    if options.roofline:
        _check_roofline(options)
    networks = [find_network(name, options.resolution) for name in options.arch]
    extra = ("layers", "compare", "guidelines", "roofline")
    backends = (options.backend or "onnxruntime").split(",") if options.latency else ()
    found = profile(
        networks,
        backends=backends,
        threads=1 if options.threads is None else options.threads,
        **{name: bool(getattr(options, name)) for name in extra},
    )
    if options.roofline:
        from nas.analysis.roofline_plot import save_roofline

        save_roofline(found[0], options.roofline)
    return print_json(found) if options.json else _print_profile(options, found)


def _check_roofline(options: argparse.Namespace) -> None:
    check_picture("--roofline", options.roofline)
    if len(options.arch) > 1:
        raise InputError(f"--roofline: expected one network, got {len(options.arch)}")


def _print_profile(options: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    from nas.analysis import tables
    from nas.show import print_networks

    for network in found:
        if options.layers:
            tables.print_layers(network)
        if options.guidelines and not options.compare:
            tables.print_guidelines(network)
        if options.roofline:
            tables.print_roofline(network)
    return tables.print_comparison(found) if options.compare else print_networks(found)
