"""`nas trust`: how far a run's ranking can be believed."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nas.cli.shared import add_json, add_verb, print_json
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.run import Run
    from nas.trust import Trust


def add(verbs: Any) -> None:
    about, usage = "say how far a run's ranking can be believed", "RUN [RUN...] [options]"
    parser = add_verb(verbs, "trust", about, _trust, usage)
    parser.add_argument("run_path", metavar="RUN", help="folder of a search")
    parser.add_argument(
        "others", nargs="*", metavar="RUN", help="of other seeds, on the same task: their noise"
    )
    add_json(parser)


def _trust(options: argparse.Namespace) -> None:
    from nas.run import Run
    from nas.trust import trust

    run = Run(options.run_path)
    found = trust(run, [Run(path) for path in options.others])
    if found is None:
        raise InputError(f"{run.path}: no trial is complete, so there is nothing to believe")
    if options.json:
        print_json(trust_document(run, found))
    else:
        _print(found)
        _print_expected(run)


def trust_document(run: Run, found: Trust) -> dict[str, Any]:
    """What is known of a run's ranking, and the front that longer trainings would find."""
    from nas.expected import expected_front

    return {**found.to_dict(), "expected": [asdict(hope) for hope in expected_front(run)]}


def _print(found: Trust) -> None:
    from nas.scores import SCORES

    plural = SCORES[found.proxy].plural
    print(f"{found.run}: {found.trials} complete trials. {found.sentence}.")
    if found.ceiling is not None:
        finest = f"; one image is {100 * found.finest:.2g} points" if found.finest else ""
        print(
            f"The images' noise alone leaves τ {found.ceiling:.2f} between these {plural} and "
            f"those on endless images{finest}."
        )
    if found.seeds is not None:
        print(
            f"Seeds: {found.repeated} networks trained more than once differ by a standard "
            f"deviation of {100 * found.seeds:.2g} points, the images' is {100 * found.error:.2g}."
        )
    for number, others in found.ties.items():
        if others:
            print(f"  trial {number} is not told from {', '.join(map(str, others))}")
    _print_confirmed(found)


def _share(value: float | None, error: float | None) -> str:
    return "" if value is None or error is None else f"{100 * value:.2f} ± {100 * error:.2f} %"


def _print_confirmed(found: Trust) -> None:
    from nas.scores import SCORES
    from nas.show import make_table, print_table

    if not found.confirmed:
        advice = f"nas search --resume {shlex.quote(found.run)} --confirm 5"
        print(f"Nothing is confirmed; longer trainings: {advice}")
        return
    score = SCORES[found.proxy]
    searched = ["searched" if found.proxy == "alone" else "score", *["accuracy"] * score.beside]
    table = make_table("Confirmed by longer trainings", "trial", *searched, "confirmed")
    for c in sorted(found.confirmed, key=lambda c: -c.confirmed):
        beside = [(c.accuracy, c.accuracy_error)] if score.beside else []
        pairs = [(c.score, c.score_error), *beside, (c.confirmed, c.confirmed_error)]
        table.add_row(str(c.number), *(_share(*pair) for pair in pairs))
    print_table(table)
    if found.agreement:
        a = found.agreement
        print(f"τ of the two orders of {a.count}: {a.tau:.2f} (95 %: {a.low:.2f} to {a.high:.2f})")


def _print_expected(run: Run) -> None:
    from nas.expected import expected_front
    from nas.show import make_table, print_table

    if not (front := expected_front(run)):
        return
    about = "The front that longer trainings are expected to find"
    table = make_table(about, "trial", "accuracy", "one standard deviation", "")
    for hope in front:
        bounds = f"{100 * hope.low:.1f} to {100 * hope.high:.1f} %"
        done = "confirmed" if hope.confirmed else ""
        table.add_row(str(hope.number), f"{100 * hope.accuracy:.1f} %", bounds, done)
    print_table(table)
