"""Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899): images mixed in pairs, and labels too."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

PARTNER = 1  # each image is mixed with the one so many places before it in the batch


def mixup(x: Tensor, y: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Both weighted: x (b, c, h, w), y (b, classes), the classes' probabilities."""
    share = _beta(alpha, generator)
    return x.lerp(x.roll(PARTNER, 0), 1 - share), y.lerp(y.roll(PARTNER, 0), 1 - share)


def cutmix(x: Tensor, y: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A rectangle of each image is its partner's, and as much of the label: shapes as of mixup."""
    height, width = x.shape[2:]
    side = (1 - _beta(alpha, generator)) ** 0.5
    rows = _span(height, side, generator)
    columns = _span(width, side, generator)
    mixed = x.clone(memory_format=torch.preserve_format)
    mixed[:, :, rows, columns] = x.roll(PARTNER, 0)[:, :, rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return mixed, y.lerp(y.roll(PARTNER, 0), area)


def _span(length: int, share: float, generator: torch.Generator) -> slice:
    """A share of `length` around a random centre, cut off at the ends."""
    centre = int(torch.randint(length, (), generator=generator))
    half = round(length * share / 2)
    return slice(max(0, centre - half), min(length, centre + half))


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(α, α); torch's own takes no generator."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
