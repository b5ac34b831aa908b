"""A random operation of a random strength an image: TrivialAugment, arXiv:2103.10158.

Its operations and RandAugment's strengths (arXiv:1909.13719), without equalize. All images that
drew an operation go through it at once, on whichever device they lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

# (images (n, 3, h, w) in [0, 1], strengths (n, 1, 1, 1) in [-1, 1]) → images
Operation: TypeAlias = Callable[[Tensor, Tensor], Tensor]

BLEND = 0.9  # the most by which brightness, contrast, colour, sharpness change, as a share
ANGLE = math.radians(30)
SHEAR = 0.3
SHIFT = 0.3  # of a side
BITS = 4  # the most that posterize takes away
LUMINANCE = (0.299, 0.587, 0.114)


def vary(x: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 (b, 3, h, w) → floats in [0, 1]; one in thirteen images stays as it is."""
    drawn = torch.randint(len(OPERATIONS) + 1, (len(x),), generator=generator)
    strength = (2 * torch.rand(len(x), 1, 1, 1, generator=generator) - 1).to(x.device)
    out = x.float() / 255
    for number, operation in enumerate(OPERATIONS):
        chosen = (drawn == number).nonzero().flatten().to(x.device)
        if len(chosen):
            out[chosen] = operation(out[chosen], strength[chosen]).clamp(0, 1)
    return out


def _towards(x: Tensor, base: Tensor, s: Tensor) -> Tensor:
    """x moved away from `base` where the strength is positive, towards it elsewhere."""
    return base + (x - base) * (1 + BLEND * s)


def _grey(x: Tensor) -> Tensor:
    weights = x.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def _brightness(x: Tensor, s: Tensor) -> Tensor:
    return _towards(x, torch.zeros_like(x), s)


def _contrast(x: Tensor, s: Tensor) -> Tensor:
    return _towards(x, _grey(x).mean((2, 3), keepdim=True), s)


def _colour(x: Tensor, s: Tensor) -> Tensor:
    return _towards(x, _grey(x), s)


def _sharpness(x: Tensor, s: Tensor) -> Tensor:
    return _towards(x, F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), s)


def _posterize(x: Tensor, s: Tensor) -> Tensor:
    step = 2 ** (BITS * s.abs()).round()
    return (x * 255 / step).floor() * step / 255


def _solarize(x: Tensor, s: Tensor) -> Tensor:
    return torch.where(x >= 1 - s.abs(), 1 - x, x)


def _autocontrast(x: Tensor, s: Tensor) -> Tensor:
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp(min=1 / 255), x)


def _rotate(x: Tensor, s: Tensor) -> Tensor:
    angle = ANGLE * s
    return _warped(x, (angle.cos(), -angle.sin(), 0 * s), (angle.sin(), angle.cos(), 0 * s))


def _shear_x(x: Tensor, s: Tensor) -> Tensor:
    return _warped(x, (0 * s + 1, SHEAR * s, 0 * s), (0 * s, 0 * s + 1, 0 * s))


def _shear_y(x: Tensor, s: Tensor) -> Tensor:
    return _warped(x, (0 * s + 1, 0 * s, 0 * s), (SHEAR * s, 0 * s + 1, 0 * s))


def _shift_x(x: Tensor, s: Tensor) -> Tensor:
    return _warped(x, (0 * s + 1, 0 * s, 2 * SHIFT * s), (0 * s, 0 * s + 1, 0 * s))


def _shift_y(x: Tensor, s: Tensor) -> Tensor:
    return _warped(x, (0 * s + 1, 0 * s, 0 * s), (0 * s, 0 * s + 1, 2 * SHIFT * s))


def _warped(x: Tensor, *rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Each image under its affine map, a row an output coordinate; grey where nothing was."""
    theta = torch.stack([torch.cat([v.flatten(1) for v in row], 1) for row in rows], 1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    # Zeros fill what comes from outside, so zero has to be mid-grey.
    return F.grid_sample(x - 0.5, grid, align_corners=False) + 0.5


OPERATIONS: tuple[Operation, ...] = (
    *(_brightness, _contrast, _colour, _sharpness, _posterize, _solarize, _autocontrast),
    *(_rotate, _shear_x, _shear_y, _shift_x, _shift_y),
)
