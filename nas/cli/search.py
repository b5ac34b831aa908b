"""`nas search`, which is `nas-search`."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import TYPE_CHECKING, Any

from nas.cli.execution import OPTIONS, add_execution_options, execution_of
from nas.cli.shared import (
    BUDGET,
    INTERRUPTED,
    add_json,
    add_verb,
    fail,
    parse_time,
    print_json,
    reason,
)
from nas.cli.table import add_table_options, check_no_table, search_a_table
from nas.cli.trust import trust_document
from nas.errors import ClusterError, InputError

if TYPE_CHECKING:
    from nas.run import Run

CHANGEABLE = {"trials", "time", "storage", "confirm", *OPTIONS}
RESUMABLE = {*CHANGEABLE, "resume", "quiet", "json", "run", "verb", "blocks"}


def add(verbs: Any) -> None:
    parser = add_verb(verbs, "search", "search a space for its front", _search, "[options]")
    what = parser.add_argument_group("what to search")
    what.add_argument("--space", metavar="NAME|FILE", help="search space (mobile); see nas spaces")
    what.add_argument("--budget", action="append", metavar="LIMIT", help=BUDGET)
    what.add_argument("--objectives", metavar="A,B", help="accuracy and costs (accuracy,latency)")
    what.add_argument("--resolution", type=int, metavar="PIXELS", help="of the deployed net (224)")
    what.add_argument("--baselines", metavar="NAME,…", help="published networks, drawn beside")
    what.add_argument("--blocks", action="append", metavar="MODULE", help="with blocks of your own")
    add_table_options(what)
    on = parser.add_argument_group("on which data, trained and timed how")
    on.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="digits (default), fashion-mnist, cifar10, folder, .npz, module:function",
    )
    on.add_argument("--data-dir", metavar="DIR", help="where the files of a named set lie")
    on.add_argument("--recipe", metavar="NAME|FILE", help="quick, standard, thorough, or a YAML")
    on.add_argument("--epochs", type=int, metavar="N", help="of each brief training")
    on.add_argument("--rungs", metavar="N,N", help="epochs after which a training may be stopped")
    on.add_argument("--proxy-resolution", type=int, metavar="PX", help="pixels of training (32)")
    on.add_argument("--proxy", metavar="NAME", help="alone, shared, zero-cost, auto")
    on.add_argument("--proxy-time", metavar="5m", help="of training a shared network (6m)")
    on.add_argument("--device", metavar="cpu|cuda", help="to train on (cpu)")
    on.add_argument("--backend", metavar="NAME", help="inference engine (onnxruntime)")
    on.add_argument("--threads", type=int, metavar="N", help="of the engine (1)")
    on.add_argument("--latency-table", metavar="FILE", help="estimates; see nas latency")
    on.add_argument("--force-table", action="store_true", help="also of another device")
    how = parser.add_argument_group("how, how long, and into which files")
    how.add_argument("--sampler", metavar="NAME", help="cost-aware (default), nsga2, tpe, random")
    how.add_argument("--trials", type=int, metavar="N", help="in all (40)")
    how.add_argument("--time", metavar="30m", help="end then at the latest: 90s, 30m, 1h30m")
    how.add_argument(
        "--confirm", type=int, metavar="N", help="of the front, trained longer (a few)"
    )
    how.add_argument("--from", dest="prior", nargs="+", metavar="RUN", help="with their results")
    how.add_argument("--seed", type=int, metavar="N", help="of all that is random (0)")
    add_execution_options(how)
    how.add_argument("--out", metavar="DIR", help="the run's folder (results/<space>-<time>)")
    how.add_argument("--resume", metavar="RUN", help="go on, also for more --trials or --time")
    how.add_argument("--storage", metavar="URL|FILE", help="mirror for optuna-dashboard")
    how.add_argument("--quiet", action="store_true", help="no progress")
    add_json(how)


def _search(options: argparse.Namespace) -> int:
    if options.table is not None:
        return search_a_table(options)
    check_no_table(options)
    seconds = None if options.time is None else parse_time(options.time)
    given = {k for k, v in vars(options).items() if v is not None and v is not False}
    if options.resume and (other := sorted(given - RESUMABLE)):
        flag = {"prior": "from"}.get(other[0], other[0].replace("_", "-"))
        raise InputError(
            f"--{flag}: a run that goes on keeps its settings; only --trials, --time, --confirm, "
            "--storage and where it runs may change"
        )
    from nas.driver import resume, search
    from nas.progress import Live, Progress

    progress = Progress() if options.quiet else Live()
    session: dict[str, Any] = {
        "time": seconds,
        "progress": progress,
        "execution": execution_of(options),
    }
    try:
        if options.resume:
            changes = {name: getattr(options, name) for name in ("trials", "confirm", "storage")}
            run = resume(options.resume, **changes, **session)
        else:
            run = search(**_search_settings(options), **session)
    except (KeyboardInterrupt, OSError, ClusterError) as error:
        if not (folder := progress.folder or options.resume):
            raise  # nothing was begun
        why, code = "interrupted", INTERRUPTED
        if not isinstance(error, KeyboardInterrupt):
            why, code = reason(error), 1
        advice = f"all finished trials are kept; go on with: nas search --resume {folder}"
        return fail(f"{why}; {advice}", code)
    _print_run(run, as_json=options.json)
    return 0


def _search_settings(options: argparse.Namespace) -> dict[str, Any]:
    from nas.recipe import Recipe

    recipe = Recipe.load(options.recipe) if options.recipe else Recipe()
    fields = {"epochs": options.epochs, "proxy_resolution": options.proxy_resolution}
    named = ["space", "data", "data_dir", "budget", "trials", "confirm", "sampler", "resolution"]
    named += ["device", "seed", "out", "backend", "threads", "prior", "latency_table", "storage"]
    named += ["proxy"]
    settings = {k: getattr(options, k) for k in named if getattr(options, k) is not None}
    for key in ("objectives", "baselines"):
        if getattr(options, key) is not None:
            settings[key] = tuple(getattr(options, key).split(","))
    if options.rungs is not None:
        settings["rungs"] = parse_rungs(options.rungs)
    if options.proxy_time is not None:
        settings["proxy_time"] = parse_time(options.proxy_time, "--proxy-time")
    settings["force_table"] = options.force_table
    return settings | {"recipe": recipe.but(**fields), "blocks": tuple(options.blocks or ())}


def parse_rungs(text: str) -> tuple[int, ...]:
    """Epochs of 1,3; none of `none`; raises InputError."""
    if text == "none":
        return ()
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise InputError(f"--rungs {text!r}: expected epochs as 1,3 or none")
    return tuple(map(int, text.split(",")))


def _print_run(run: Run, *, as_json: bool) -> None:
    from nas.show import front_rows, print_front
    from nas.trust import trust

    if as_json:
        states = run.trials["state"].value_counts().to_dict()
        found = {"run": str(run.path), "trials": len(run.records), "states": states}
        found |= {"cpus": run.cpus}
        found |= {"seed": run.info["settings"]["seed"], "hypervolume": run.hypervolume}
        known = trust(run)
        found |= {"front": front_rows(run.front), "trust": known and trust_document(run, known)}
        return print_json(found)
    if run.front.empty:
        print(f"No trial has finished; go on with: nas search --resume {run.path}")
        return None
    print_front(run.front, run.objectives, score=run.score)
    if known := trust(run):
        print(f"{known.sentence}; see nas trust {run.path}")
    if len(run.cpus) > 1:  # of a cluster; docs/cluster.md says what may be compared
        trained = ", ".join(f"{count} on {cpu}" for cpu, count in run.cpus.items())
        print(f"Trials were trained on {len(run.cpus)} kinds of processor: {trained}")
    print(f"Files: {run.path}/front.csv, front.png, architectures/NUMBER.yaml")
    print(f"Next: nas front {shlex.quote(str(run.path))} --pick knee")
    return None
