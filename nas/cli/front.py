"""`nas front`: print or plot the front of runs, also for another device, or pick one network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas.cli.shared import add_blocks, add_json, add_verb, check_picture, print_json
from nas.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from nas.run import Run

PICKS = ("knee", "best", "fastest")  # those of nas.pick.RULES, which takes a while to import


def add(verbs: Any) -> None:
    about, usage = "print or plot the front of runs, or pick from it", "RUN... [options]"
    parser = add_verb(verbs, "front", about, _front, usage)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of searches")
    parser.add_argument("--x", metavar="METRIC", help="cost (the run's first cost objective)")
    parser.add_argument("--y", default="accuracy", metavar="METRIC", help="(accuracy)")
    parser.add_argument("--budget", action="append", metavar="LIMIT", help="within 15ms-latency")
    parser.add_argument("--pick", choices=PICKS, help="one network of all runs, why, how sure")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument("--latency-table", metavar="FILE", help="latencies as of this device")
    add_blocks(parser)
    add_json(parser)


def _front(options: argparse.Namespace) -> None:
    from nas.metrics import METRICS
    from nas.plot import save_front
    from nas.show import front_rows, print_front

    if options.plot:
        check_picture("--plot", options.plot)
    runs = _runs(options)
    cost = "latency" if options.latency_table else runs[0].cost
    x, y = _metric(options.x or cost, "--x"), _metric(options.y, "--y")
    if METRICS[x].maximise or not METRICS[y].maximise:
        raise InputError(f"--x {x} --y {y}: expected a cost and accuracy, as --x macs")
    fronts = {str(run.path): _found(run, x, y) for run in runs}
    if all(found.empty for found in fronts.values()):
        within = f" within {', '.join(options.budget)}" if options.budget else ""
        raise InputError(f"{', '.join(fronts)}: no finished trial with {x} and {y}{within}")
    if options.plot:
        save_front(runs, options.plot, x, y)
    if options.pick:
        return _pick(options, runs, x)
    if options.json:
        rows = [{"run": path, "front": front_rows(found)} for path, found in fronts.items()]
        return print_json([row | _about(run) for row, run in zip(rows, runs, strict=True)])
    for run, (path, found) in zip(runs, fronts.items(), strict=True):
        print_front(found, (y, x), path, run.score)
        _print_about(run)
    return None


def _metric(name: str, flag: str) -> str:
    from nas.arch import hint
    from nas.metrics import ALIASES, METRICS

    name = ALIASES.get(name, name)
    if name not in METRICS:
        raise InputError(f"{flag} {name!r}: no such metric; {hint(name, METRICS)}")
    return name


def _found(run: Run, x: str, y: str) -> pd.DataFrame:
    """The run's front with intervals of the accuracies and chances of being on it."""
    from nas.metrics import SCORE
    from nas.pick import assess, candidates
    from nas.run import front

    found = front(run.trials, (y, x))
    known = assess(candidates([run]), run.budget, x).set_index("id")
    bounds = [f"{what}_{end}" for what in ("accuracy", SCORE) for end in ("low", "high")]
    return found.join(known[[*bounds, "on_front"]], on="id")


def _runs(options: argparse.Namespace) -> Sequence[Run]:
    """The runs that a front is asked of, by the table's estimates where there is one."""
    from nas.run import Run

    budgets = options.budget or ()
    if options.latency_table is None:
        runs = [Run(path, budgets) for path in options.runs]
        for run in runs:
            _check_known(run)
        return runs
    from nas.device_run import DeviceRun
    from nas.latency import DeviceTable

    table = DeviceTable.load(options.latency_table)
    return [DeviceRun(path, table, budgets) for path in options.runs]


def _check_known(run: Run) -> None:
    """Raise InputError where a limit is of a latency that the run has not measured."""
    if "latency" in run.budget and not run.trials["latency_ms"].notna().any():
        raise InputError(
            f"{run.path}: no latency to hold against the budget; --latency-table FILE has estimates"
        )


def _pick(options: argparse.Namespace, runs: Sequence[Run], x: str) -> None:
    """Print the network that the rule picks from all runs."""
    from nas.pick import candidates, check_comparable, pick
    from nas.show import front_rows, print_pick

    check_comparable(runs, x)
    table, score = candidates(runs), runs[0].score
    found = pick(table, runs[0].budget, x, options.pick, score=score)
    if found is None:
        raise InputError(f"no trial with a known {x} within {runs[0].budget}")
    if options.json:
        return print_json(found.to_dict() | {"front": front_rows(found.front)})
    return print_pick(found)


def _about(run: Run) -> dict[str, Any]:
    """What a run says of another device, as plain data; nothing where it is of its own."""
    from nas.device_run import DeviceRun, promising, regions

    if not isinstance(run, DeviceRun):
        return {}
    found = regions(run)
    best = promising(found)
    return {
        "device": run.table.device.to_dict(),
        "regions": [region.to_dict() for region in found],
        "search": best.to_dict() if best else None,
    }


def _print_about(run: Run) -> None:
    from nas.device_run import DeviceRun, advice

    if isinstance(run, DeviceRun):
        print(f"Latencies are estimates for {run.table.device}.")
        print(advice(run))
