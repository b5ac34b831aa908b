"""`nas report`: runs as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from nas.cli.shared import add_blocks, add_verb, check_folder
from nas.errors import InputError


def add(verbs: Any) -> None:
    about, usage = "write runs as one HTML page that needs no network", "RUN... [options]"
    parser = add_verb(verbs, "report", about, _report, usage)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of searches")
    parser.add_argument("--out", default="report.html", metavar="FILE", help="(report.html)")
    add_blocks(parser)


def _report(options: argparse.Namespace) -> None:
    from nas.records import write_atomic
    from nas.report import render, report_data
    from nas.run import Run

    if Path(options.out).suffix not in (".html", ".htm"):
        raise InputError(f"--out {options.out!r}: expected an .html file")
    check_folder("--out", options.out)
    page = render(report_data([Run(path) for path in options.runs]))
    write_atomic(Path(options.out), page)
    print(f"{options.out}: {len(page.encode()) / 1e6:.1f} MB; open it in a browser")
