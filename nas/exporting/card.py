"""The model card beside an exported file: what it is, how good, how fast, how it was made."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape  # Markdown may hold HTML, names must not
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data import Data
from nas.exporting.check import Difference
from nas.exporting.subject import Subject
from nas.metrics import METRICS, plural

if TYPE_CHECKING:
    from nas.exporting.export import Exported
    from nas.training.trained import Trained

COUNTS = ("macs", "params", "memory", "size")


def card(exported: Exported, subject: Subject, data: Data, calibrated_on: str) -> str:
    """The card as Markdown; `data` are those that the file was checked on."""
    files = ", ".join(f"`{Path(file).name}`" for file in exported.files)
    sections = {
        f"# {escape(exported.network)}": [f"{files}: {exported.format}, {exported.bytes:,} bytes."],
        "## Input and output": _input(exported, subject, data),
        "## Accuracy": _accuracy(exported),
        "## Cost of one image": _cost(exported),
        "## How it was made": _making(exported, subject, calibrated_on),
    }
    return "\n\n".join("\n\n".join([title, *body]) for title, body in sections.items()) + "\n"


def _input(exported: Exported, subject: Subject, data: Data) -> Iterator[str]:
    side, batch = exported.resolution, exported.batch
    yield f"`image`: float32 ({batch}, 3, {side}, {side}), RGB."
    yield f"Scores: float32 ({batch}, {exported.classes})."
    if subject.trained:
        mean, std = (", ".join(f"{v:.4f}" for v in values) for values in (data.mean, data.std))
        yield (
            f"Pixels in [0, 1] are normalised as (pixel - mean) / deviation, a channel each: mean "
            f"{mean}, deviation {std}. A grey image is repeated."
        )
        yield f"Classes: {escape(', '.join(subject.trained.info['classes']))}."


def _accuracy(exported: Exported) -> Iterator[str]:
    if found := exported.training:
        yield (
            f"{found['test_accuracy']:.2%} ± {found['test_error']:.2%} (one standard error) on the "
            f"{found['test_size']:,} test images of {found['data']}, "
            f"{found['validation_accuracy']:.2%} on its validation part: in torch, at "
            f"{found['resolution']} pixels, after {plural(found['epochs'], 'epoch')}."
        )
    else:
        yield "No training of these weights is known here."
    difference = Difference(**exported.difference)
    yield f"The file against torch: {difference}."
    if difference.accuracy is not None and difference.accuracy_torch is not None:
        yield (
            f"Accuracy on these few: {difference.accuracy:.1%}, "
            f"in torch {difference.accuracy_torch:.1%}."
        )


def _cost(exported: Exported) -> Iterator[str]:
    rows = [(METRICS[n].label, METRICS[n].format(exported.cost[n])) for n in COUNTS]
    if exported.latency:
        rows.append(("latency (ms)", _latency(exported.latency)))
    yield "\n".join(["| | |", "|---|---|", *(f"| {label} | {text} |" for label, text in rows)])


def _latency(timed: dict[str, Any]) -> str:
    half, noisy = (timed["high"] - timed["low"]) / 2, ", noisy" if timed["noisy"] else ""
    where = f"{timed['backend']}, {plural(timed['threads'], 'thread')}, {timed['cpu']}"
    return f"{timed['latency_ms']:.3g} ± {half:.1g}{noisy} ({where})"


def _making(exported: Exported, subject: Subject, calibrated_on: str) -> Iterator[str]:
    if subject.trained:
        yield _training(subject.trained)
    yield f"`nas export --format {exported.format}{' --int8' if exported.int8 else ''}`."
    if not subject.weighted:
        yield "The weights are a random start: train the network before it is used."
    if subject.calibration is not None:
        yield (
            f"Weights and activations have eight bits; {len(subject.calibration)} training images "
            f"of {calibrated_on} showed the ranges."
        )
    if subject.architecture:
        yield f"```yaml\n{subject.architecture.to_yaml().rstrip()}\n```"


def _training(trained: Trained) -> str:
    settings, torch = trained.settings, trained.info["versions"]["torch"]
    recipe = settings.recipe
    return (
        f"`nas train`: {plural(recipe.epochs, 'epoch')} of batches of {recipe.batch} by "
        f"{recipe.optimiser}, learning rate up to {recipe.peak:g}, seed {settings.seed}, "
        f"torch {torch}."
    )
