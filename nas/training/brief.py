"""The brief training of a search: SGD on a one-cycle schedule, smoothed labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.data import Data, Images, augment, to_batch
from nas.recipe import Recipe
from nas.training.loop import Loop, Optimisation, decaying


class Training(Loop):
    """A candidate under brief training; `images` are already at the proxy's size."""

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
        self.data, self.recipe = data, recipe
        super().__init__(
            module, images, epochs=recipe.epochs, batch=recipe.batch, seed=seed, device=device
        )

    def _optimisation(self, steps: int) -> Optimisation:
        recipe = self.recipe
        optimiser = torch.optim.SGD(
            decaying(self.module, recipe.weight_decay),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.learning_rate, total_steps=steps, cycle_momentum=False
        )
        return optimiser, schedule

    def _loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        x, y = self._batch_of(index, generator)
        return F.cross_entropy(self.module(x), y, label_smoothing=self.recipe.label_smoothing)

    def _batch_of(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = self.images.x[index], self.images.y[index].to(self.device)
        if self.recipe.augment:
            x = augment(x, generator, self.data.flip)
        return to_batch(x.to(self.device), x.shape[-1], self.data.mean, self.data.std), y
