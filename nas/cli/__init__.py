"""The command line: `nas search`, `nas front`, `nas report`, `nas train`, `nas export`, …

Results go to stdout, progress and messages to stderr. Bad input is one sentence and exit code 2.
A module a verb. Each imports what it needs when it runs, so that `--help` and errors come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nas.blocks import import_blocks
from nas.cli import export, front, latency, profile, report, search, show, spaces, train, trust
from nas.cli.shared import INTERRUPTED, PROGRAM, Parser, fail, reason
from nas.errors import ClusterError, InputError

VERBS = (search, profile, show, spaces, front, report, trust, train, export, latency)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; the exit code."""
    sys.path.insert(0, "")  # modules of a person's own, for --blocks and --data module:function
    parser = _parser()
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        verb = f"{PROGRAM} {options.verb}"
        return fail(f"{verb}: unknown option or argument {unknown[0]!r}; see {verb} --help", 2)
    try:
        import_blocks(getattr(options, "blocks", None) or ())
        return int(options.run(options) or 0)
    except InputError as error:
        return fail(str(error), 2)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # a pager or head that has seen enough
        sys.stderr.close()
        return 0
    except (OSError, ClusterError) as error:
        return fail(reason(error), 1)


def search_main() -> int:
    """`nas-search` is `nas search`."""
    return main(["search", *sys.argv[1:]])


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Accuracy–latency fronts of light-weight vision networks, "
        "for your data, your device, your budget.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
