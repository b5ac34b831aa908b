"""`nas search --table`: its options, and what it prints."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from nas.cli.shared import print_json
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.table_search import TableRun

OWN = ("encode", "accuracy", "cost", "seeds")  # options that only a table has
SHARED = ("sampler", "trials", "seed", "out", "quiet", "json")


def add_table_options(group: argparse._ArgumentGroup) -> None:
    about = "CSV of results instead of trainings, with --encode COL… --accuracy COL --cost COL… "
    group.add_argument("--table", metavar="FILE", help=about + "--seeds N; see docs/search.md")
    for name in ("--encode", "--cost"):
        group.add_argument(name, nargs="+", metavar="COL", help=argparse.SUPPRESS)
    group.add_argument("--accuracy", metavar="COL", help=argparse.SUPPRESS)
    group.add_argument("--seeds", type=int, metavar="N", help=argparse.SUPPRESS)


def check_no_table(options: argparse.Namespace) -> None:
    """Raise InputError where an option needs --table."""
    for name in OWN:
        if getattr(options, name) is not None:
            raise InputError(f"--{name}: expected --table FILE with it")


def search_a_table(options: argparse.Namespace) -> int:
    """Run `nas search --table`; the exit code."""
    from nas.table_search import search_table

    settings = _settings(options)
    run = search_table(options.table, **settings, say=_silent if options.quiet else _say)
    if options.json:
        print_json(_document(options.table, run))
    else:
        _print(run)
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    given = {k: v for k, v in vars(options).items() if v is not None and v is not False}
    allowed = {"table", "run", "verb", *OWN, *SHARED}
    if other := sorted(given.keys() - allowed):
        flag = {"prior": "from"}.get(other[0], other[0]).replace("_", "-")
        raise InputError(f"--{flag}: nothing is trained with --table, so it has no part in it")
    for name in ("encode", "accuracy", "cost"):
        if name not in given:
            raise InputError(f"--table {options.table}: expected --{name} COLUMN with it")
    return {k: given[k] for k in (*OWN, *SHARED) if k in given and k not in ("quiet", "json")}


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _silent(text: str) -> None:
    """--quiet."""


def _document(table: str, run: TableRun) -> dict[str, Any]:
    last = run.steps.groupby(["sampler", "seed"], sort=False).tail(1)
    return {
        "table": str(table),
        "file": str(run.path),
        "searches": last.to_dict("records"),
        "summary": run.summary().to_dict("records"),
    }


def _print(run: TableRun) -> None:
    from nas.show import make_table, print_table

    summary = run.summary()
    counts = sorted(summary["trial"].unique())
    seeds = run.steps["seed"].nunique()
    spread = " (quartiles)" if seeds > 1 else ""
    title = f"Share of the true front's hypervolume after so many trials, median{spread}"
    table = make_table(title, "sampler", *map(str, counts))
    for sampler in run.steps["sampler"].unique():
        own = summary[summary["sampler"] == sampler].set_index("trial")
        cells = (_cell(own.loc[count], seeds) if count in own.index else "" for count in counts)
        table.add_row(sampler, *cells)
    print_table(table)
    print(f"File: {run.path}")


def _cell(row: Any, seeds: int) -> str:
    spread = f" ({row['low']:.4f}–{row['high']:.4f})" if seeds > 1 else ""
    return f"{row['median']:.4f}{spread}"
