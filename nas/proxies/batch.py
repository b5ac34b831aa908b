"""The images that untrained networks are scored by."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nas.data import Data, resized, to_batch

IMAGES = 128  # that a network is scored by


class Batch(NamedTuple):
    """Normalised images `x` (n, 3, side, side), and the labels `y` (n,) of their classes."""

    x: Tensor
    y: Tensor


def first_images(data: Data, side: int, count: int = IMAGES) -> Batch:
    """The first training images at side × side pixels: all classes in their proportions."""
    images = resized(data.train.take(slice(count)), side)
    return Batch(to_batch(images.x, side, data.mean, data.std), images.y)
