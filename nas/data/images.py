"""Images in memory: uint8 (n, c, h, w), c 1 (grey) or 3 (RGB), labels int64 (n,).

Pixels stay uint8 for a quarter of the memory of floats. Means and standard deviations are of
pixels scaled to [0, 1].
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Images:
    """Images `x`: uint8 (n, c, h, w), and the labels `y` of their classes: int64 (n,)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        return f"Images({len(self)} of {'×'.join(map(str, self.x.shape[1:]))})"

    def __reduce__(self) -> Any:
        # Of numpy arrays the processes of a node share one copy in Ray's store, of tensors not.
        return _from_numpy, (self.x.numpy(), self.y.numpy())

    def take(self, index: Tensor | slice) -> Images:
        """The images at `index`, in its order."""
        return Images(self.x[index], self.y[index])


def _from_numpy(x: Any, y: Any) -> Images:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Images(torch.from_numpy(x), torch.from_numpy(y))  # which are only ever read


@dataclass(frozen=True, slots=True)
class Parts:
    """What a source has, before it is split; a part that it lacks is None."""

    train: Images
    classes: tuple[str, ...]
    flip: bool
    validation: Images | None = None
    test: Images | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A data set with its fixed split; the test part is carried along, never searched on.

    `id`: 12 hex digits of the content (see `content_id`). `flip`: whether a mirrored image is as
    good as the image. `mean`, `std`: of each channel of the training part, pixels in [0, 1].
    Every prefix of a part holds the classes in the part's proportions.
    """

    name: str
    train: Images
    validation: Images
    test: Images | None
    classes: tuple[str, ...]
    id: str
    flip: bool = True
    mean: tuple[float, ...] = field(init=False)
    std: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        mean, std = moments(self.train.x)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)


def moments(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 (n, c, h, w), scaled to [0, 1].

    A constant channel has deviation 1, so that it can be divided by.
    """
    mean, std = zip(*(_moments(x[:, channel]) for channel in range(x.shape[1])), strict=True)
    return mean, std


def _moments(channel: Tensor) -> tuple[float, float]:
    # 256 counts hold all there is to know: exact, and no copy of the images as floats.
    counts = torch.bincount(channel.flatten(), minlength=256).double()
    share, value = counts / counts.sum(), torch.arange(256).double() / 255
    mean = float(share @ value)
    variance = float(share @ (value - mean).square())
    return mean, variance**0.5 or 1.0


def content_id(*parts: Images | None, classes: int) -> str:
    """Twelve hex digits of pixels, labels, their split and the number of classes, of no name."""
    digest = hashlib.blake2b(str(classes).encode(), digest_size=6)
    for part in parts:
        digest.update(str(part and tuple(part.x.shape)).encode())
        for values in (part.x, part.y) if part else ():
            digest.update(values.contiguous().numpy().data)
    return digest.hexdigest()
