"""How good a module is on a part of the data."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from nas.data import Data, Images, to_batch

BATCH = 256


@torch.no_grad()
def score(
    module: nn.Module, images: Images, data: Data, *, device: str = "cpu"
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy on `images`, already at the network's size."""
    module.eval()
    correct, loss = 0, 0.0
    pixels_of = torch.split(images.x, BATCH)
    labels_of = torch.split(images.y, BATCH)
    for pixels, labels in zip(pixels_of, labels_of, strict=True):
        x = to_batch(pixels.to(device), pixels.shape[-1], data.mean, data.std)
        logits, y = module(x), labels.to(device)
        correct += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return correct / len(images), loss / len(images)
