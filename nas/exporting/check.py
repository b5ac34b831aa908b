"""An exported file's scores against torch's, on real images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nas.data import Data, Images, to_batch
from nas.exporting.formats import Array, Format, Scores
from nas.exporting.subject import Subject

IMAGES = 128


class ExportDiffers(RuntimeError):
    """The exported file computes something else than torch."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Over so many `images` of the validation part of `data`.

    `largest` is the largest difference of any score, `deviation` the standard deviation of torch's
    scores, `same_class` the share of images with the same answer. The accuracies on these few
    images are None where the weights are a random start.
    """

    data: str
    images: int
    largest: float
    deviation: float
    same_class: float
    accuracy: float | None
    accuracy_torch: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"largest difference of a score {self.largest:.2g}, the scores' deviation "
            f"{self.deviation:.2g}, same class for {self.same_class:.1%} of {self.images} "
            f"validation images of {self.data}"
        )


def first(images: Images, count: int, data: Data, side: int) -> tuple[Array, NDArray[np.int64]]:
    """The first images as the network takes them (n, 3, side, side), and their labels."""
    found = images.take(slice(count))
    x = to_batch(found.x, side, data.mean, data.std).contiguous()
    return x.numpy(), found.y.numpy()


def compare(scores: Scores, subject: Subject, data: Data, kind: Format) -> Difference:
    """Raises ExportDiffers where the difference exceeds the format's tolerance."""
    x, y = first(data.validation, IMAGES, data, subject.graph.input[1])
    got = np.concatenate([scores(image[None]) for image in x])
    with torch.inference_mode():
        parts = [subject.module(part) for part in torch.from_numpy(x).split(32)]  # type: ignore[no-untyped-call]
    expected = torch.cat(parts).numpy()
    answers, own = got.argmax(1), expected.argmax(1)
    difference = Difference(
        data=data.name,
        images=len(y),
        largest=float(np.abs(got - expected).max()),
        deviation=float(expected.std()),
        same_class=float((answers == own).mean()),
        accuracy=float((answers == y).mean()) if subject.weighted else None,
        accuracy_torch=float((own == y).mean()) if subject.weighted else None,
    )
    if kind.tolerance and not difference.largest <= kind.tolerance * difference.deviation:
        raise ExportDiffers(f"{subject.name}: the file differs from torch: {difference}")
    return difference
