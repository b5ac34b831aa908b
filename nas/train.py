"""One training loop, and the recipe of a brief training."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nas.arch import hint, load_yaml, mapping, validated
from nas.data import Data, Images, augment, to_batch
from nas.errors import InputError

EVALUATION_BATCH = 256
NUMBER = re.compile(r"[\d.]+e[+-]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a candidate is trained briefly; `proxy_resolution` is in pixels, before ρ.

    SGD with Nesterov momentum on a one-cycle schedule, cross-entropy with smoothed labels. At most
    `subset` training images are used, in the classes' proportions. `stem_stride: 1` gives the
    proxy the stem of the networks for CIFAR and takes four times as long. One thread of torch by
    default: small images leave little to share, and results do not depend on the machine's cores.
    """

    epochs: int = 5
    batch: int = 32
    subset: int = 4000
    proxy_resolution: int = 32
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augment: bool = True
    stem_stride: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "subset", "proxy_resolution", "learning_rate", "threads"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(
                    f"recipe: {name}: expected a number above zero, got {getattr(self, name)!r}"
                )
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"recipe: weight_decay: expected 0 or more, got {self.weight_decay!r}")
        if self.stem_stride not in (None, 1, 2):
            raise InputError(f"recipe: stem_stride: expected 1 or 2, got {self.stem_stride!r}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"recipe: {name}: expected 0 up to 1, got {getattr(self, name)!r}")
        if self.batch < 2:
            raise InputError("recipe: batch: batch norm needs 2 images or more, got 1")

    @classmethod
    def from_dict(cls, data: Any, where: str = "recipe") -> Recipe:
        """Read plain data; raises InputError with the place of what is wrong."""
        known = list(cls.__dataclass_fields__)
        for key in mapping(data, where):
            if key not in known:
                raise InputError(f"{where}: unknown key {key!r}; {hint(key, known)}")
        # YAML 1.1 takes 1e-3, without a point and a sign, for text.
        read = {k: float(v) if NUMBER.fullmatch(str(v)) else v for k, v in data.items()}
        recipe: Recipe = validated(cls, read, where)
        return recipe

    def but(self, **fields: Any) -> Recipe:
        """The same recipe with other values for the fields that are not None."""
        return replace(self, **{key: value for key, value in fields.items() if value is not None})

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Read a recipe file; raises InputError."""
        return cls.from_dict(load_yaml(path), f"{path}: recipe")


class Diverged(RuntimeError):
    """A loss that is not finite."""


def train(
    module: nn.Module,
    images: Images,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train on `images`, already at the proxy's size; the mean loss of each epoch.

    Deterministic by `seed` on the CPU. Raises Diverged.
    """
    generator = torch.Generator().manual_seed(seed)
    batch = min(recipe.batch, len(images))
    steps = len(images) // batch  # the rest waits for another epoch's order
    optimiser = torch.optim.SGD(
        _groups(module, recipe.weight_decay),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.learning_rate,
        total_steps=recipe.epochs * steps,
        cycle_momentum=False,
    )
    module.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    curve = []
    with _dropout_follows(seed, device):
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(images), generator=generator)[: steps * batch]
            total = 0.0
            for index in torch.split(order, batch):
                x, y = _batch(images, index, data, recipe, generator, device)
                loss = F.cross_entropy(module(x), y, label_smoothing=recipe.label_smoothing)
                if not math.isfinite(value := loss.item()):
                    raise Diverged(f"the loss became {value} in epoch {epoch + 1}")
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
                total += value
            curve.append(total / steps)
            if on_epoch:
                on_epoch(epoch, curve[-1])
    return curve


@contextmanager
def _dropout_follows(seed: int, device: str) -> Iterator[None]:
    """Seed torch's own random state, which dropout draws from, and leave it as it was."""
    gpus = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed(seed)
        yield


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and batch norm do not."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _batch(
    images: Images,
    index: torch.Tensor,
    data: Data,
    recipe: Recipe,
    generator: torch.Generator,
    device: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    x = images.x[index]
    if recipe.augment:
        x = augment(x, generator, data.flip)
    x = to_batch(x.to(device), x.shape[-1], data.mean, data.std)
    return x, images.y[index].to(device)


@torch.no_grad()
def score(
    module: nn.Module, images: Images, data: Data, *, device: str = "cpu"
) -> tuple[float, float]:
    """Accuracy in [0, 1] and mean cross-entropy on `images`, already at the proxy's size."""
    module.eval()
    correct, loss = 0, 0.0
    pixels_of = torch.split(images.x, EVALUATION_BATCH)
    labels_of = torch.split(images.y, EVALUATION_BATCH)
    for pixels, labels in zip(pixels_of, labels_of, strict=True):
        x = to_batch(pixels.to(device), pixels.shape[-1], data.mean, data.std)
        logits, y = module(x), labels.to(device)
        correct += int((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return correct / len(images), loss / len(images)
