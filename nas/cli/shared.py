"""What the verbs share: the parser, the words of options, how results are printed."""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from nas.errors import InputError

INTERRUPTED = 130
PROGRAM = "nas"
FLOP = "One flop is one multiply–accumulate of a convolution or linear layer."
BUDGET = "limit, repeatable: 300M-flops 5M-params 20ms-latency 4MB-memory"
ARCH = "a published name, a .yaml file, or results/NAME:NUMBER"
PICTURES = (".png", ".svg", ".pdf")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


Run: TypeAlias = Callable[[argparse.Namespace], int | None]


def add_verb(verbs: Any, name: str, about: str, run: Run, usage: str) -> Parser:
    """Declare `nas NAME USAGE`, a verb or a verb's verb, which `run` does."""
    parser: Parser = verbs.add_parser(
        name.rpartition(" ")[2],
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        usage=f"{PROGRAM} {name} {usage}",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=27, width=100),
    )
    parser.set_defaults(run=run, verb=name)
    parser.epilog = FLOP
    return parser


def add_blocks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--blocks", action="append", metavar="MODULE", help="with your own blocks")


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def check_resolution(resolution: int | None) -> None:
    """Raise InputError unless it is a number of pixels."""
    if resolution is not None and resolution < 1:
        raise InputError(f"--resolution {resolution}: expected a number of pixels")


def check_picture(flag: str, path: str) -> None:
    """Raise InputError unless a picture can be written there."""
    if Path(path).suffix not in PICTURES:
        raise InputError(f"{flag} {path!r}: expected a .png, .svg or .pdf file")
    check_folder(flag, path)


def check_folder(flag: str, path: str) -> None:
    """Raise InputError where the folder that a file would lie in is missing."""
    if not (folder := Path(path).absolute().parent).is_dir():
        raise InputError(f"{flag} {path!r}: there is no folder {folder}")


def parse_time(text: str, flag: str = "--time") -> float:
    """Seconds of 90s, 30m, 2h or 1h30m; raises InputError."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    if not match or not any(match.groups()):
        raise InputError(f"{flag} {text!r}: expected a time as 90s, 30m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60 * minutes + seconds


def reason(error: Exception) -> str:
    """What went wrong in a few words, with which file where it is one."""
    if not isinstance(error, OSError):
        return str(error)
    words = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
    return f"{error.filename or 'files'}: {words or error}"


def fail(message: str, code: int) -> int:
    """Say why on stderr; the exit code."""
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
