"""`nas train`: train a network fully."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.shared import (
    ARCH,
    INTERRUPTED,
    add_blocks,
    add_json,
    add_verb,
    check_resolution,
    fail,
    print_json,
)
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.training.trained import Trained

RESUMABLE = {"resume", "quiet", "json", "run", "verb", "blocks"}


def add(verbs: Any) -> None:
    parser = add_verb(verbs, "train", "train a network fully", _train, "ARCH [options]")
    parser.add_argument("arch", nargs="?", metavar="ARCH", help=ARCH)
    parser.add_argument("--data", metavar="NAME|PATH", help="as of nas search (that of ARCH's run)")
    parser.add_argument("--data-dir", metavar="DIR", help="where the files of a named set lie")
    parser.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of its own")
    parser.add_argument("--recipe", metavar="FILE", help="YAML: optimiser, batch, mixup, cutmix…")
    parser.add_argument("--epochs", type=int, metavar="N", help="(100)")
    parser.add_argument("--init", metavar="FILE|RUN", help="weights to begin with")
    parser.add_argument("--device", metavar="cpu|cuda", help="to train on (cpu)")
    parser.add_argument("--seed", type=int, metavar="N", help="of all that is random (0)")
    parser.add_argument("--out", metavar="DIR", help="its folder (trained/<name>-<time>)")
    parser.add_argument("--resume", metavar="DIR", help="go on with a training that was stopped")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_blocks(parser)
    add_json(parser)
    parser.epilog = "The test part is looked at once, at the end; see docs/shipping.md."


def _train(options: argparse.Namespace) -> int:
    _check(options)
    from nas.training import Diverged, start

    folder = options.resume
    say = _silent if options.quiet else _tell
    try:
        if options.resume:
            trained = start.resume(options.resume, say)
        else:
            folder = options.out or start.default_folder(options.arch)
            trained = start.train(**_settings(options), out=folder, say=say)
    except Diverged as error:
        raise InputError(f"{error}; try a lower learning_rate in a --recipe") from error
    except KeyboardInterrupt:
        if not Path(folder, "train.json").exists():
            raise  # nothing was begun
        advice = f"go on with: nas train --resume {shlex.quote(str(folder))}"
        return fail(f"interrupted; all whole epochs are kept; {advice}", INTERRUPTED)
    _print(trained, options.json)
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _silent(line: str) -> None:
    """Nothing to say."""


def _check(options: argparse.Namespace) -> None:
    given = {k for k, v in vars(options).items() if v is not None and v is not False}
    if options.resume and (other := sorted(given - RESUMABLE)):
        word = "ARCH" if other[0] == "arch" else f"--{other[0].replace('_', '-')}"
        raise InputError(f"{word}: a training that goes on keeps its settings; leave it out")
    if not options.resume and not options.arch:
        raise InputError(f"nas train: expected a network: {ARCH}")
    check_resolution(options.resolution)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    from nas.recipe import FullRecipe

    recipe = FullRecipe.from_yaml(options.recipe) if options.recipe else FullRecipe()
    named = ("data", "data_dir", "resolution", "init", "device", "seed")
    settings = {k: getattr(options, k) for k in named if getattr(options, k) is not None}
    settings |= {"network": options.arch, "blocks": tuple(options.blocks or ())}
    return settings | {"recipe": recipe.but(epochs=options.epochs)}


def _print(trained: Trained, as_json: bool) -> None:
    result = trained.result or {}
    if as_json:
        return print_json({"folder": str(trained.path), **result})
    which = {"average": "the averaged weights", "last": "the last weights"}[result["weights"]]
    print(
        f"Test accuracy {result['test_accuracy']:.2%} ± {result['test_error']:.2%} "
        f"({result['test_size']:,} images), validation {result['validation_accuracy']:.2%}: "
        f"{which}, the better on validation"
    )
    print(f"Files: {trained.path}/weights.safetensors, metrics.csv, curves.png, result.json")
    print(f"Next: nas export {shlex.quote(str(trained.path))} --format onnx --out net.onnx")
    return None
