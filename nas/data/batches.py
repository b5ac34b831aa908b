"""From images in memory to batches for a network: resize, normalise, augment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.data.images import Images

CHUNK = 1024


def to_batch(x: Tensor, side: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """float (b, 3, side, side), channels last, normalised; grey is repeated.

    x: (b, c, h, w), uint8 or floats in [0, 1]; mean and std: a number a channel, of [0, 1].
    """
    scale = 255.0 if x.dtype == torch.uint8 else 1.0
    x = resize(x.float(), side)
    shift, spread = (x.new_tensor(values).view(1, -1, 1, 1) * scale for values in (mean, std))
    x = ((x - shift) / spread).expand(-1, 3, -1, -1)
    return x.contiguous(memory_format=torch.channels_last)


def resized(images: Images, side: int) -> Images:
    """The images at side × side, uint8; the same object where they are so already.

    For training at one size, do it once: resizing a batch costs more than normalising it.
    """
    if images.x.shape[2:] == (side, side):
        return images
    chunks = [resize(chunk, side) for chunk in torch.split(images.x, CHUNK)]
    return Images(torch.cat(chunks), images.y)


def resize(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) at side × side, the same object where it is so already."""
    if x.shape[2:] == (side, side):
        return x
    # Antialiasing averages where the image shrinks and changes nothing where it grows.
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)


def augment(batch: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Each image of (b, c, h, w) moved by up to an eighth, and half of them mirrored if `flip`.

    What moves in is the image's reflection at its edge. The same generator state gives the same
    batch; the type stays, and uint8 is fastest.
    """
    count, channels, height, width = batch.shape
    rows = _moved(height, count, generator)
    columns = _moved(width, count, generator)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
    index = index.to(batch.device).expand(-1, channels, -1)
    return batch.flatten(2).gather(2, index).view(batch.shape)


def _moved(side: int, count: int, generator: torch.Generator) -> Tensor:
    """Which of `side` lines each line shows: (count, side), moved and reflected at the edges."""
    reach = side // 8
    move = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
    line = (torch.arange(side) + move).abs()
    return torch.minimum(line, 2 * (side - 1) - line)
