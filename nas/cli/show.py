"""`nas show`: draw a network block by block."""

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


def add(verbs: Any) -> None:
    about, usage = "draw a network block by block", "ARCH [options]"
    parser = add_verb(verbs, "show", about, _show, usage)
    parser.add_argument("arch", metavar="ARCH", help=ARCH)
    parser.add_argument("--png", metavar="FILE", help="as a picture: .png, .svg or .pdf")
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of its own")
    add_blocks(parser)
    add_json(parser)


def _show(options: argparse.Namespace) -> None:
    from nas.diagram import lay_out
    from nas.diagram.terminal import print_diagram
    from nas.networks import find_network

    check_resolution(options.resolution)
    if options.png:
        check_picture("--png", options.png)
    diagram = lay_out(find_network(options.arch, options.resolution))
    if options.png:
        from nas.diagram.picture import save_diagram

        save_diagram(diagram, options.png)
    if options.json:
        return print_json(diagram.to_dict())
    return print_diagram(diagram)
