"""`nas export`: write a network as a file for an engine."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from nas.cli.shared import (
    ARCH,
    add_blocks,
    add_json,
    add_verb,
    check_folder,
    check_resolution,
    fail,
    print_json,
)

if TYPE_CHECKING:
    from nas.exporting.export import Exported


def add(verbs: Any) -> None:
    about, usage = "write a network as a file for an engine", "ARCH --format F --out FILE [options]"
    parser = add_verb(verbs, "export", about, _export, usage)
    parser.add_argument("arch", metavar="ARCH", help=f"{ARCH}, or a nas train's folder")
    formats = "onnx, pt2, python, openvino or executorch"
    parser.add_argument("--format", required=True, metavar="NAME", help=formats)
    parser.add_argument("--out", required=True, metavar="FILE", help="a model card FILE.md too")
    parser.add_argument("--weights", metavar="FILE|DIR", help=".safetensors, or such a folder")
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of its own")
    parser.add_argument("--int8", action="store_true", help="eight bits, with --format onnx")
    parser.add_argument("--calibrate", metavar="DATA", help="whose images show --int8 the ranges")
    parser.add_argument("--data", metavar="NAME|PATH", help="whose images check the file")
    parser.add_argument("--data-dir", metavar="DIR", help="where the files of a named set lie")
    parser.add_argument("--no-latency", action="store_true", help="do not measure it")
    add_blocks(parser)
    add_json(parser)


def _export(options: argparse.Namespace) -> int:
    check_resolution(options.resolution)
    check_folder("--out", options.out)
    from nas.exporting.check import ExportDiffers
    from nas.exporting.export import export

    named = ("format", "out", "weights", "resolution", "int8", "calibrate", "data", "data_dir")
    settings = {name: getattr(options, name) for name in named}
    settings |= {"latency": not options.no_latency, "blocks": tuple(options.blocks or ())}
    try:
        exported = export(options.arch, **settings)
    except ExportDiffers as error:
        return fail(str(error), 1)
    if options.json:
        print_json(exported.to_dict())
    else:
        _print(exported)
    return 0


def _print(exported: Exported) -> None:
    from nas.exporting.check import Difference
    from nas.metrics import METRICS

    print(f"{', '.join(exported.files)}: {METRICS['size'].format(exported.bytes)}")
    print(f"Against torch: {Difference(**exported.difference)}")
    if timed := exported.latency:
        half, noisy = (timed["high"] - timed["low"]) / 2, ", noisy" if timed["noisy"] else ""
        latency = METRICS["latency"].format(timed["latency_ms"])
        print(f"Latency: {latency} ± {half:.1g}{noisy}, one image, by {timed['backend']}")
    if exported.difference["accuracy"] is None:
        advice = f"nas train {shlex.quote(exported.network)} gives a folder to export"
        print(f"Weights: a random start; {advice}")
    print(f"Card: {exported.card}")
