"""One training loop, which can stop after any epoch and go on elsewhere."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import safetensors.torch
import torch
from torch import Tensor, nn

from nas.data import Images
from nas.training.weights import to_safetensors

FACTS = "training"  # the key of what is no tensor in a saved training
Optimisation: TypeAlias = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]


class Diverged(RuntimeError):
    """A loss that is not finite."""


class Loop(ABC):
    """A network under training, which can be saved after any epoch and go on elsewhere.

    Deterministic by `seed` on the CPU, wherever it was interrupted: an epoch draws from a random
    state of its own. The learning rate's cycle spans all `epochs`. `curve` is the mean loss of
    each epoch so far. A recipe says what a step's loss is and how the weights follow from it.
    """

    def __init__(
        self, module: nn.Module, images: Images, *, epochs: int, batch: int, seed: int, device: str
    ) -> None:
        self.module, self.images, self.seed, self.device = module, images, seed, device
        self.curve: list[float] = []
        self._batch = min(batch, len(images))
        self._steps = len(images) // self._batch  # the rest waits for another epoch's order
        module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser, self._schedule = self._optimisation(epochs * self._steps)

    @abstractmethod
    def _optimisation(self, steps: int) -> Optimisation:
        """The optimiser, and its learning rate over so many steps."""

    @abstractmethod
    def _loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """The loss on the images at `index`; all that is random comes from the generator."""

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
            loss = self._loss(index, generator)
            if not math.isfinite(value := loss.item()):
                raise Diverged(f"the loss became {value} in epoch {epoch + 1}")
            self._step(loss)
            total += value
        return total / self._steps

    def _step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()

    def save(self, **notes: Any) -> bytes:
        """All that going on needs, as the content of a safetensors file; `notes` as JSON."""
        return to_safetensors(self._tensors(), {FACTS: json.dumps(self._facts() | notes)})

    def load(self, saved: bytes) -> dict[str, Any]:
        """Go on from what `save` returned for the same network, recipe and seed; its facts."""
        facts: dict[str, Any] = json.loads(_metadata(saved)[FACTS])
        self._restore(safetensors.torch.load(saved), facts)
        return facts

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"module.{k}": v for k, v in self.module.state_dict().items()}
        for index, state in self._optimiser.state_dict()["state"].items():
            kept = {k: v for k, v in state.items() if v is not None}  # no momentum at 0
            tensors |= {f"optimiser.{index}.{key}": value for key, value in kept.items()}
        return tensors

    def _facts(self) -> dict[str, Any]:
        return {
            "curve": self.curve,
            "groups": self._optimiser.state_dict()["param_groups"],
            "schedule": self._schedule.state_dict(),
        }

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        self.module.load_state_dict(within("module", tensors))
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in within("optimiser", tensors).items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = tensor
        self._optimiser.load_state_dict({"state": states, "param_groups": facts["groups"]})
        self._schedule.load_state_dict(facts["schedule"])
        self.curve = facts["curve"]


def within(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


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


def decaying(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups of parameters for an optimiser: weights decay; biases and batch norm do not."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
