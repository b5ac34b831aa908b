"""The full training of a network that is to be used."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.data import Data, Images, augment, to_batch
from nas.data.mix import cutmix, mixup
from nas.data.policy import vary
from nas.recipe import FullRecipe
from nas.training.loop import Loop, Optimisation, decaying, within


class FullTraining(Loop):
    """A network under full training; `images` are already at its size.

    `average` is a copy of the module with the exponential moving average of its weights and batch
    norm statistics.
    """

    def __init__(
        self,
        module: nn.Module,
        images: Images,
        data: Data,
        recipe: FullRecipe,
        *,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.data, self.recipe = data, recipe
        super().__init__(
            module, images, epochs=recipe.epochs, batch=recipe.batch, seed=seed, device=device
        )
        self.average = deepcopy(module).requires_grad_(False)
        self._remembered = max(1.0, recipe.average * recipe.epochs * self._steps)
        amp = device == "cuda" and recipe.amp
        bf16 = amp and torch.cuda.is_bf16_supported(including_emulation=False)
        self._amp = (torch.bfloat16 if bf16 else torch.float16) if amp else None
        # 16-bit floats of five exponent bits lose small gradients unless they are scaled.
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._amp is torch.float16)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def _optimisation(self, steps: int) -> Optimisation:
        recipe = self.recipe
        groups = decaying(self.module, recipe.decay)
        optimiser: torch.optim.Optimizer
        if recipe.optimiser == "adamw":
            optimiser = torch.optim.AdamW(groups, lr=recipe.peak)
        else:
            optimiser = torch.optim.SGD(
                groups, lr=recipe.peak, momentum=recipe.momentum, nesterov=recipe.momentum > 0
            )
        warm_up = max(1, round(recipe.warm_up * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: cosine(step, steps, warm_up)
        )
        return optimiser, schedule

    def _loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        x, y = self._batch_of(index, generator)
        with self._autocast():
            scores = self.module(x)
        return F.cross_entropy(scores.float(), y, label_smoothing=self.recipe.label_smoothing)

    def _batch_of(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images as the network takes them, and the probabilities of their classes."""
        recipe, data = self.recipe, self.data
        x = self.images.x[index].to(self.device)
        y = F.one_hot(self.images.y[index].to(self.device), len(data.classes)).float()
        if recipe.augment:
            x = augment(x, generator, data.flip)
        if recipe.policy and x.shape[1] == 3:
            x = vary(x, generator)
        x = to_batch(x, x.shape[-1], data.mean, data.std)
        return self._mixed(x, y, generator)

    def _mixed(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        recipe = self.recipe
        ways = [(way, a) for way, a in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if a > 0]
        if not ways or torch.rand((), generator=generator) >= recipe.mixed:
            return x, y
        way, alpha = ways[int(torch.randint(len(ways), (), generator=generator))]
        return way(x, y, alpha, generator)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", self._amp) if self._amp else nullcontext()

    def _step(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._schedule.step()
        self._remember()

    @torch.no_grad()
    def _remember(self) -> None:
        """Let the average follow, the faster the fewer steps it has seen."""
        step = self._schedule.last_epoch
        share = max(1 / self._remembered, 9 / (step + 9))
        for own, new in zip(_tensors(self.average), _tensors(self.module), strict=True):
            if own.is_floating_point():
                own.lerp_(new, share)
            else:
                own.copy_(new)  # a count of batches

    def _tensors(self) -> dict[str, Tensor]:
        average = {f"average.{k}": v for k, v in self.average.state_dict().items()}
        return super()._tensors() | average

    def _facts(self) -> dict[str, Any]:
        return super()._facts() | {"scaler": self._scaler.state_dict()}

    def _restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        self.average.load_state_dict(within("average", tensors))
        if facts["scaler"]:
            self._scaler.load_state_dict(facts["scaler"])


def cosine(step: int, steps: int, warm_up: int) -> float:
    """The learning rate as a share of its peak: a line up, then half a cosine down to zero."""
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def _tensors(module: nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())
