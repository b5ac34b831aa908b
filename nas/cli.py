"""The command line: `nas search`, `nas profile`, `nas spaces`, `nas front`, `nas latency`.

Results go to stdout, progress and messages to stderr. Bad input is one sentence and exit code 2.
Each verb imports what it needs when it runs, so that `--help` and errors come at once.
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nas.blocks import import_blocks
from nas.errors import InputError
from nas.latency_cli import about, add_front_options, add_verbs, front_runs, print_about
from nas.table_cli import add_table_options, check_no_table, search_a_table

if TYPE_CHECKING:
    from nas.run import Run

INTERRUPTED = 130
PROGRAM = "nas"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; the exit code."""
    sys.path.insert(0, "")  # modules of a person's own, for --blocks and --data module:function
    parser = _parser()
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        verb = f"{PROGRAM} {options.verb}"
        return _fail(f"{verb}: unknown option or argument {unknown[0]!r}; see {verb} --help", 2)
    try:
        import_blocks(getattr(options, "blocks", None) or ())
        return int(options.run(options) or 0)
    except InputError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # a pager or head that has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        return _fail(_reason(error), 1)


def search_main() -> int:
    """`nas-search` is `nas search`."""
    return main(["search", *sys.argv[1:]])


def _reason(error: OSError) -> str:
    reason = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
    return f"{error.filename or 'files'}: {reason or error}"


def _fail(message: str, code: int) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return code


# Options -----------------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="Accuracy–latency fronts of light-weight vision networks, "
        "for your data, your device, your budget.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _search_options(_verb(verbs, "search", "search a space for its front", _search))
    _profile_options(_verb(verbs, "profile", "count and time networks", _profile))
    _spaces_options(_verb(verbs, "spaces", "list search spaces, or look into one", _spaces))
    _front_options(_verb(verbs, "front", "print or plot the front of runs", _front))
    tables = verbs.add_parser("latency", help="measure a device, to estimate latencies of it")
    inner = tables.add_subparsers(metavar="VERB", required=True)
    add_verbs(lambda name, about, run: _verb(inner, f"latency {name}", about, run))
    return parser


def _verb(verbs: Any, name: str, about: str, run: Any) -> Parser:
    parser: Parser = verbs.add_parser(
        name.rpartition(" ")[2],
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        usage=f"{PROGRAM} {name} {USAGE[name]}",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=27, width=100),
    )
    parser.set_defaults(run=run, verb=name)
    parser.epilog = FLOP
    return parser


USAGE = {
    "search": "[options]",
    "profile": "ARCH... [options]",
    "spaces": "[NAME|FILE] [options]",
    "front": "RUN... [options]",
    "latency build": "--out FILE [options]",
    "latency bundle": "--out DIR [options]",
    "latency import": "measurements.json --out FILE",
}
FLOP = "One flop is one multiply–accumulate of a convolution or linear layer."
BUDGET = "limit, repeatable: 300M-flops 5M-params 20ms-latency 4MB-memory"
ARCH = "a published name, a .yaml file, or results/NAME:NUMBER"


def _search_options(parser: Parser) -> None:
    what = parser.add_argument_group("what to search")
    what.add_argument("--space", metavar="NAME|FILE", help="search space (mobile); see nas spaces")
    what.add_argument("--budget", action="append", metavar="LIMIT", help=BUDGET)
    what.add_argument("--objectives", metavar="A,B", help="accuracy and costs (accuracy,latency)")
    what.add_argument("--resolution", type=int, metavar="PIXELS", help="of the deployed net (224)")
    what.add_argument("--baselines", metavar="NAME,…", help="published networks, drawn beside")
    what.add_argument("--blocks", action="append", metavar="MODULE", help="with blocks of your own")
    add_table_options(what)
    on = parser.add_argument_group("on which data, trained how")
    on.add_argument("--data", metavar="NAME|PATH", help="digits (default), fashion-mnist, cifar10…")
    on.add_argument("--data-dir", metavar="DIR", help="where the files of a named set lie")
    on.add_argument("--recipe", metavar="FILE", help="YAML: epochs, batch, subset, learning_rate…")
    on.add_argument("--epochs", type=int, metavar="N", help="of each brief training")
    on.add_argument("--rungs", metavar="N,N", help="epochs after which a training may be stopped")
    on.add_argument("--proxy-resolution", type=int, metavar="PX", help="pixels of training (32)")
    on.add_argument("--device", metavar="cpu|cuda", help="to train on (cpu)")
    timed = parser.add_argument_group("timed by what")
    timed.add_argument("--backend", metavar="NAME", help="inference engine (onnxruntime)")
    timed.add_argument("--threads", type=int, metavar="N", help="of the engine (1)")
    timed.add_argument("--latency-table", metavar="FILE", help="estimates; see nas latency")
    timed.add_argument("--force-table", action="store_true", help="also of another device")
    how = parser.add_argument_group("how, and how long")
    how.add_argument("--sampler", metavar="NAME", help="cost-aware (default), nsga2, tpe, random")
    how.add_argument("--trials", type=int, metavar="N", help="in all (40)")
    how.add_argument("--time", metavar="30m", help="end then at the latest: 90s, 30m, 1h30m")
    how.add_argument("--from", dest="prior", nargs="+", metavar="RUN", help="with their results")
    how.add_argument("--seed", type=int, metavar="N", help="of all that is random (0)")
    files = parser.add_argument_group("files and output")
    files.add_argument("--out", metavar="DIR", help="the run's folder (results/<space>-<time>)")
    files.add_argument("--resume", metavar="RUN", help="go on; takes --trials and --time only")
    files.add_argument("--quiet", action="store_true", help="no progress")
    files.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.epilog = (
        "--data also takes a folder of class folders of images, an .npz, or module:function. "
        + FLOP
    )


def _profile_options(parser: Parser) -> None:
    parser.add_argument("arch", nargs="*", metavar="ARCH", help=ARCH)
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of its own")
    parser.add_argument("--layers", action="store_true", help="layer by layer")
    parser.add_argument("--compare", action="store_true", help="networks as columns")
    parser.add_argument("--guidelines", action="store_true", help="the four of ShuffleNetV2")
    parser.add_argument("--roofline", metavar="FILE", help="time each layer; .png, .svg or .pdf")
    parser.add_argument("--latency", action="store_true", help="measure it on this machine")
    parser.add_argument("--backend", metavar="NAME,…", help="side by side (onnxruntime)")
    parser.add_argument("--threads", type=int, metavar="N", help="of the back ends (1)")
    parser.add_argument("--list", action="store_true", help="list the published networks")
    parser.add_argument("--blocks", action="append", metavar="MODULE", help="with your own blocks")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _spaces_options(parser: Parser) -> None:
    parser.add_argument("space", nargs="?", metavar="NAME|FILE", help="look into this space")
    parser.add_argument("--budget", action="append", metavar="LIMIT", help=BUDGET)
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="deployed (224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (0)")
    parser.add_argument("--blocks", action="append", metavar="MODULE", help="with your own blocks")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _front_options(parser: Parser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of searches")
    parser.add_argument("--x", metavar="METRIC", help="cost (the run's first cost objective)")
    parser.add_argument("--y", default="accuracy", metavar="METRIC", help="(accuracy)")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    add_front_options(parser)
    parser.add_argument("--blocks", action="append", metavar="MODULE", help="with your own blocks")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


# nas search --------------------------------------------------------------------------------------

RESUMABLE = {"trials", "time", "resume", "quiet", "json", "run", "verb", "blocks"}


def _search(options: argparse.Namespace) -> int:
    if options.table is not None:
        return search_a_table(options)
    check_no_table(options)
    seconds = None if options.time is None else parse_time(options.time)
    given = {k for k, v in vars(options).items() if v is not None and v is not False}
    if options.resume and (other := sorted(given - RESUMABLE)):
        flag = {"prior": "from"}.get(other[0], other[0].replace("_", "-"))
        raise InputError(
            f"--{flag}: a run that goes on keeps its settings; only --trials and --time may change"
        )
    from nas.driver import resume, search
    from nas.progress import Live, Progress

    progress = Progress() if options.quiet else Live()
    try:
        if options.resume:
            run = resume(options.resume, trials=options.trials, time=seconds, progress=progress)
        else:
            run = search(**_search_settings(options), time=seconds, progress=progress)
    except (KeyboardInterrupt, OSError) as error:
        if not (folder := progress.folder or options.resume):
            raise  # nothing was begun
        reason, code = "interrupted", INTERRUPTED
        if isinstance(error, OSError):
            reason, code = _reason(error), 1
        advice = f"all finished trials are kept; go on with: nas search --resume {folder}"
        return _fail(f"{reason}; {advice}", code)
    _print_run(run, as_json=options.json)
    return 0


def _search_settings(options: argparse.Namespace) -> dict[str, Any]:
    from nas.recipe import Recipe

    recipe = Recipe.from_yaml(options.recipe) if options.recipe else Recipe()
    fields = {"epochs": options.epochs, "proxy_resolution": options.proxy_resolution}
    named = ["space", "data", "data_dir", "budget", "trials", "sampler", "resolution"]
    named += ["device", "seed", "out", "backend", "threads", "prior", "latency_table"]
    settings = {k: getattr(options, k) for k in named if getattr(options, k) is not None}
    for key in ("objectives", "baselines"):
        if getattr(options, key) is not None:
            settings[key] = tuple(getattr(options, key).split(","))
    if options.rungs is not None:
        settings["rungs"] = parse_rungs(options.rungs)
    settings["force_table"] = options.force_table
    return settings | {"recipe": recipe.but(**fields), "blocks": tuple(options.blocks or ())}


def parse_rungs(text: str) -> tuple[int, ...]:
    """Epochs of 1,3; none of `none`; raises InputError."""
    if text == "none":
        return ()
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise InputError(f"--rungs {text!r}: expected epochs as 1,3 or none")
    return tuple(map(int, text.split(",")))


def parse_time(text: str) -> float:
    """Seconds of 90s, 30m, 2h or 1h30m; raises InputError."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip())
    if not match or not any(match.groups()):
        raise InputError(f"--time {text!r}: expected a time as 90s, 30m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60 * minutes + seconds


def _print_run(run: Run, *, as_json: bool) -> None:
    from nas.show import front_rows, print_front

    if as_json:
        states = run.trials["state"].value_counts().to_dict()
        found = {"run": str(run.path), "trials": len(run.records), "states": states}
        found |= {"seed": run.info["settings"]["seed"], "hypervolume": run.hypervolume}
        return _print_json(found | {"front": front_rows(run.front)})
    if run.front.empty:
        print(f"No trial has finished; go on with: nas search --resume {run.path}")
        return None
    print_front(run.front, run.objectives)
    best = run.front.iloc[-1]["number"]
    print(f"Files: {run.path}/front.csv, front.png, architectures/NUMBER.yaml")
    print(f"Next: nas profile {run.path}:{best} --layers --latency")
    return None


# The other verbs ---------------------------------------------------------------------------------


def _profile(options: argparse.Namespace) -> None:
    from nas.networks import find_network
    from nas.show import print_published, profile, published_rows

    if options.resolution is not None and options.resolution < 1:
        raise InputError(f"--resolution {options.resolution}: expected a number of pixels")
    if options.list:
        rows = published_rows()
        return _print_json(rows) if options.json else print_published(rows)
    if not options.arch:
        raise InputError(f"nas profile: expected a network: {ARCH}; --list shows the names")
    if options.compare and len(options.arch) < 2:
        raise InputError("--compare: expected two networks or more")
    if not options.latency and (options.backend or options.threads is not None):
        raise InputError("--backend, --threads: expected with --latency, which they are about")
    if options.roofline:
        _check_roofline(options)
    networks = [find_network(name, options.resolution) for name in options.arch]
    extra = ("layers", "compare", "guidelines", "roofline")
    backends = (options.backend or "onnxruntime").split(",") if options.latency else ()
    found = profile(
        networks,
        backends=backends,
        threads=1 if options.threads is None else options.threads,
        **{name: bool(getattr(options, name)) for name in extra},
    )
    if options.roofline:
        from nas.analysis.roofline_plot import save_roofline

        save_roofline(found[0], options.roofline)
    return _print_json(found) if options.json else _print_profile(options, found)


def _check_roofline(options: argparse.Namespace) -> None:
    if Path(options.roofline).suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--roofline {options.roofline!r}: expected a .png, .svg or .pdf file")
    if len(options.arch) > 1:
        raise InputError(f"--roofline: expected one network, got {len(options.arch)}")


def _print_profile(options: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    from nas.analysis import tables
    from nas.show import print_networks

    for network in found:
        if options.layers:
            tables.print_layers(network)
        if options.guidelines and not options.compare:
            tables.print_guidelines(network)
        if options.roofline:
            tables.print_roofline(network)
    return tables.print_comparison(found) if options.compare else print_networks(found)


def _spaces(options: argparse.Namespace) -> None:
    from nas.budget import Budget
    from nas.show import look_into, overview, print_space, print_spaces
    from nas.space_file import load_space, space_names

    if options.resolution is not None and options.resolution < 1:
        raise InputError(f"--resolution {options.resolution}: expected a number of pixels")
    budget = Budget.parse(options.budget or ())
    names = [options.space] if options.space else space_names()
    spaces = [load_space(name).bind(resolution=options.resolution) for name in names]
    if options.space:
        found = look_into(spaces[0], budget, options.seed)
        return _print_json(found) if options.json else print_space(found)
    rows = [overview(space, budget, options.seed) for space in spaces]
    return _print_json(rows) if options.json else print_spaces(rows)


def _front(options: argparse.Namespace) -> None:
    from nas.metrics import METRICS
    from nas.plot import save_front
    from nas.run import front
    from nas.show import front_rows, print_front

    runs = front_runs(options)
    costs = [name for name in runs[0].objectives if not METRICS[name].maximise]
    if options.latency_table:
        costs = ["latency"]
    x, y = _metric(options.x or costs[0], "--x"), _metric(options.y, "--y")
    if METRICS[x].maximise or not METRICS[y].maximise:
        raise InputError(f"--x {x} --y {y}: expected a cost and accuracy, as --x macs")
    fronts = {str(run.path): front(run.trials, (y, x)) for run in runs}
    if all(found.empty for found in fronts.values()):
        within = f" within {', '.join(options.budget)}" if options.budget else ""
        raise InputError(f"{', '.join(fronts)}: no finished trial with {x} and {y}{within}")
    if options.plot:
        if Path(options.plot).suffix not in (".png", ".svg", ".pdf"):
            raise InputError(f"--plot {options.plot!r}: expected a .png, .svg or .pdf file")
        save_front(runs, options.plot, x, y)
    if options.json:
        rows = [{"run": path, "front": front_rows(found)} for path, found in fronts.items()]
        return _print_json([row | about(run) for row, run in zip(rows, runs, strict=True)])
    for run, (path, found) in zip(runs, fronts.items(), strict=True):
        print_front(found, (y, x), title=path)
        print_about(run)
    return None


def _metric(name: str, flag: str) -> str:
    from nas.arch import hint
    from nas.metrics import ALIASES, METRICS

    name = ALIASES.get(name, name)
    if name not in METRICS:
        raise InputError(f"{flag} {name!r}: no such metric; {hint(name, METRICS)}")
    return name


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


if __name__ == "__main__":
    sys.exit(main())
