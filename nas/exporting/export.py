"""`nas.export`: a network as a file, checked against torch, timed, with a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nas.arch import Architecture
from nas.blocks import import_blocks
from nas.cost import cost
from nas.data import Data, load_data
from nas.errors import InputError
from nas.exporting.card import card
from nas.exporting.check import compare, first
from nas.exporting.formats import find_format
from nas.exporting.subject import Subject, find_subject, images_of, settle
from nas.latency import measure
from nas.records import cost_dict

CALIBRATION = 64  # images that show the ranges, or the batch norms their statistics


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written and how it compares: `difference` as `nas.exporting.check.Difference`,
    `latency` as `nas.latency.Latency`, `training` as its result.json; the latter two may be None.
    """

    files: tuple[str, ...]
    card: str
    format: str
    int8: bool
    batch: int | str
    network: str
    resolution: int
    classes: int
    cost: dict[str, int]
    bytes: int
    difference: dict[str, Any]
    latency: dict[str, Any] | None
    training: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def export(
    network: str | Path | Architecture,
    *,
    format: str,
    out: str | Path,
    weights: str | Path | None = None,
    resolution: int | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    int8: bool = False,
    calibrate: str | None = None,
    latency: bool = True,
    blocks: Sequence[str] = (),
) -> Exported:
    """Write a network as a file of the format, check it on real images, time it, describe it.

    `network`: a published name, a .yaml file, results/NAME:NUMBER, an architecture, or the folder
    of a `nas.train`, which has weights and data; `weights`: such a folder or a .safetensors file;
    `data`: whose images check the file, those of the training by default; `calibrate`: whose
    training images show an eight-bit model its ranges. Raises InputError, and ExportDiffers where
    the file computes something else than torch.
    """
    kind, path = find_format(format, int8), Path(out)
    if path.suffix != kind.suffix:
        raise InputError(f"--out {str(out)!r}: expected a {kind.suffix} file for --format {format}")
    if calibrate and not int8:
        raise InputError("--calibrate: expected with --int8, which it is about")
    import_blocks(blocks)
    subject = find_subject(network, weights, resolution)
    images = images_of(subject, data, data_dir)
    if not subject.weighted:
        shown, _ = first(images.train, CALIBRATION, images, subject.graph.input[1])
        settle(subject.module, torch.from_numpy(shown))
    if int8:
        subject = _calibrated(subject, images, calibrate)
    files = kind.write(subject, path)
    difference = compare(kind.read(path, subject), subject, images, kind)
    exported = Exported(
        files=tuple(map(str, files)),
        card=f"{path}.md",
        format=format,
        int8=int8,
        batch=kind.batch,
        network=subject.name,
        resolution=subject.graph.input[1],
        classes=subject.graph.output[0],
        cost=cost_dict(cost(subject.graph)),
        bytes=sum(file.stat().st_size for file in files),
        difference=difference.to_dict(),
        latency=measure(subject.graph, backend=kind.backend).to_dict() if latency else None,
        training=subject.trained.result if subject.trained else None,
    )
    text = card(exported, subject, images, calibrate or images.name)
    Path(exported.card).write_text(text, encoding="utf-8")
    return exported


def _calibrated(subject: Subject, images: Data, calibrate: str | None) -> Subject:
    """With training images of the data that are named, or else those of its training."""
    if not (calibrate or subject.trained):
        raise InputError("--int8: expected --calibrate DATA, images that show it the ranges")
    side = subject.graph.input[1]
    data = load_data(calibrate, size=side) if calibrate else images
    return replace(subject, calibration=first(data.train, CALIBRATION, data, side)[0])
