"""How good a module is on a part of the data."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nas.data import Data, Images, to_batch

BATCH = 256


class Scored(NamedTuple):
    """Accuracy in [0, 1], mean cross-entropy, and the standard error of that mean."""

    accuracy: float
    cross_entropy: float
    cross_entropy_error: float


@torch.no_grad()
def score(module: nn.Module, images: Images, data: Data, *, device: str = "cpu") -> Scored:
    """How good a module is on `images`, already at the network's size."""
    module.eval()
    correct, loss, losses = 0, 0.0, []
    pixels_of = torch.split(images.x, BATCH)
    labels_of = torch.split(images.y, BATCH)
    for pixels, labels in zip(pixels_of, labels_of, strict=True):
        x = to_batch(pixels.to(device), pixels.shape[-1], data.mean, data.std)
        logits, y = module(x), labels.to(device)
        correct += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
        losses.append(F.cross_entropy(logits, y, reduction="none"))
    n = len(images)
    deviation = float(torch.cat(losses).double().std(correction=0))
    return Scored(correct / n, loss / n, deviation / n**0.5)
