"""The options of `nas search` that say where trials run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nas.cli.shared import parse_time

if TYPE_CHECKING:
    from nas.executors.execution import Execution

OPTIONS = (
    "workers",
    "ray",
    "cpus_per_trial",
    "gpus_per_trial",
    "max_concurrent",
    "trial_timeout",
    "latency_resource",
)


def add_execution_options(group: argparse._ArgumentGroup) -> None:
    """`--workers` and `--ray`; those that go with them are named in its help, for want of room."""
    about = "on a cluster: auto, local or its address, with --latency-resource NAME "
    about += "--gpus-per-trial N --max-concurrent N"
    hidden = argparse.SUPPRESS
    processes = "in processes, with --cpus-per-trial N --trial-timeout 10m"
    group.add_argument("--workers", type=int, metavar="N", help=processes)
    group.add_argument("--ray", metavar="WHERE", help=about)
    group.add_argument("--cpus-per-trial", type=float, metavar="N", help=hidden)
    group.add_argument("--gpus-per-trial", type=float, metavar="N", help=hidden)
    group.add_argument("--max-concurrent", type=int, metavar="N", help=hidden)
    group.add_argument("--trial-timeout", metavar="10m", help=hidden)
    group.add_argument("--latency-resource", metavar="NAME", help=hidden)


def execution_of(options: argparse.Namespace) -> Execution:
    """What the options say; raises InputError."""
    from nas.executors.execution import Execution

    given = {name: getattr(options, name) for name in OPTIONS}
    if options.trial_timeout is not None:
        given["trial_timeout"] = parse_time(options.trial_timeout, "--trial-timeout")
    return Execution(**given)
