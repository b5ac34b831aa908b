"""`nas spaces`: list search spaces, or look into one."""

from __future__ import annotations

import argparse
from typing import Any

from nas.cli.shared import BUDGET, add_blocks, add_json, add_verb, check_resolution, print_json


def add(verbs: Any) -> None:
    about, usage = "list search spaces, or look into one", "[NAME|FILE] [options]"
    parser = add_verb(verbs, "spaces", about, _spaces, usage)
    parser.add_argument("space", nargs="?", metavar="NAME|FILE", help="look into this space")
    parser.add_argument("--budget", action="append", metavar="LIMIT", help=BUDGET)
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="deployed (224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (0)")
    add_blocks(parser)
    add_json(parser)


def _spaces(options: argparse.Namespace) -> None:
    from nas.budget import Budget
    from nas.show import look_into, overview, print_space, print_spaces
    from nas.space_file import load_space, space_names

    check_resolution(options.resolution)
    budget = Budget.parse(options.budget or ())
    names = [options.space] if options.space else space_names()
    spaces = [load_space(name).bind(resolution=options.resolution) for name in names]
    if options.space:
        found = look_into(spaces[0], budget, options.seed)
        return print_json(found) if options.json else print_space(found)
    rows = [overview(space, budget, options.seed) for space in spaces]
    return print_json(rows) if options.json else print_spaces(rows)
