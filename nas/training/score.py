"""How good a module is on a part of the data."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nas.data import Data, Images, to_batch

BATCH = 256


class Scores(NamedTuple):
    """Means over images: accuracy in [0, 1], cross-entropy in nats, probability of the true class
    in [0, 1]."""

    accuracy: float
    cross_entropy: float
    probability: float


@torch.no_grad()
def score(module: nn.Module, images: Images, data: Data, *, device: str = "cpu") -> Scores:
    """How good a module is on `images`, which are already at its size."""
    module.eval()
    correct, loss, probability = 0, 0.0, 0.0
    pixels_of = torch.split(images.x, BATCH)
    labels_of = torch.split(images.y, BATCH)
    for pixels, labels in zip(pixels_of, labels_of, strict=True):
        x = to_batch(pixels.to(device), pixels.shape[-1], data.mean, data.std)
        logits, y = module(x), labels.to(device)
        correct += int((logits.argmax(1) == y).sum())
        losses = F.cross_entropy(logits, y, reduction="none")
        loss += float(losses.sum())
        probability += float((-losses).exp().sum())
    return Scores(correct / len(images), loss / len(images), probability / len(images))
