"""One training loop, which can stop after any epoch and go on elsewhere."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from nas.data import Data, Images, augment, to_batch
from nas.recipe import Recipe

EVALUATION_BATCH = 256
FACTS = "training"  # the key of what is no tensor in a saved training


class Diverged(RuntimeError):
    """A loss that is not finite."""


class Training:
    """A network under training, which can be saved after any epoch and go on elsewhere.

    `images` are already at the proxy's size. Deterministic by `seed` on the CPU, wherever it was
    interrupted: an epoch draws from a random state of its own. The learning rate's cycle spans all
    of the recipe's epochs. `curve` is the mean loss of each epoch so far.
    """

    def __init__(
        self,
        module: nn.Module,
        images: Images,
        data: Data,
        recipe: Recipe,
        *,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.module, self.images, self.data, self.recipe = module, images, data, recipe
        self.seed, self.device = seed, device
        self.curve: list[float] = []
        self._batch = min(recipe.batch, len(images))
        self._steps = len(images) // self._batch  # the rest waits for another epoch's order
        module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = torch.optim.SGD(
            _groups(module, recipe.weight_decay),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            recipe.learning_rate,
            total_steps=recipe.epochs * self._steps,
            cycle_momentum=False,
        )

    def advance(self, epochs: int, on_epoch: Callable[[int, float], None] | None = None) -> None:
        """Train until so many epochs are done; raises Diverged."""
        self.module.train()
        for epoch in range(len(self.curve), epochs):
            with _random_state(epoch_seed(self.seed, epoch), self.device) as generator:
                self.curve.append(self._epoch(epoch, generator))
            if on_epoch:
                on_epoch(epoch, self.curve[-1])

    def _epoch(self, epoch: int, generator: torch.Generator) -> float:
        order = torch.randperm(len(self.images), generator=generator)
        total = 0.0
        for index in torch.split(order[: self._steps * self._batch], self._batch):
            x, y = _batch(self.images, index, self.data, self.recipe, generator, self.device)
            self._optimiser.zero_grad()
            if not math.isfinite(value := self._gradients(x, y)):
                raise Diverged(f"the loss became {value} in epoch {epoch + 1}")
            self._optimiser.step()
            self._schedule.step()
            total += value
        return total / self._steps

    def _gradients(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Leave the gradients of a batch's loss with the parameters; the loss."""
        loss = F.cross_entropy(self.module(x), y, label_smoothing=self.recipe.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def save(self) -> bytes:
        """All that going on needs, as the content of a safetensors file."""
        optimiser = self._optimiser.state_dict()
        tensors = {f"module.{k}": v.contiguous() for k, v in self.module.state_dict().items()}
        for index, state in optimiser["state"].items():
            if (momentum := state["momentum_buffer"]) is not None:
                tensors[f"momentum.{index}"] = momentum.contiguous()
        facts = {
            "curve": self.curve,
            "groups": optimiser["param_groups"],
            "schedule": self._schedule.state_dict(),
        }
        return safetensors.torch.save(tensors, {FACTS: json.dumps(facts)})

    def load(self, saved: bytes) -> None:
        """Go on from what `save` returned for the same network, recipe and seed."""
        facts = json.loads(_metadata(saved)[FACTS])
        tensors: dict[str, dict[str, torch.Tensor]] = {"module": {}, "momentum": {}}
        for name, tensor in safetensors.torch.load(saved).items():
            kind, _, key = name.partition(".")
            tensors[kind][key] = tensor
        momenta = {int(i): {"momentum_buffer": m} for i, m in tensors["momentum"].items()}
        self.module.load_state_dict(tensors["module"])
        self._optimiser.load_state_dict({"state": momenta, "param_groups": facts["groups"]})
        self._schedule.load_state_dict(facts["schedule"])
        self.curve = facts["curve"]


def _metadata(saved: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, whose first eight bytes are its header's length."""
    size = int.from_bytes(saved[:8], "little")
    metadata: dict[str, str] = json.loads(saved[8 : 8 + size])["__metadata__"]
    return metadata


def epoch_seed(seed: int, epoch: int) -> int:
    """Unlike seeds for the epochs of all trainings."""
    digest = hashlib.blake2b(repr((seed, epoch)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


@contextmanager
def _random_state(seed: int, device: str) -> Iterator[torch.Generator]:
    """A seeded generator; torch's own state, which dropout draws from, is seeded and restored."""
    gpus = [torch.cuda.current_device()] if device == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


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
