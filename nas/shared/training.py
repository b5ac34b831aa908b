"""Training a shared network by random paths."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.arch import Architecture
from nas.data import Data, Images, resize
from nas.errors import InputError
from nas.evaluate import proxied
from nas.recipe import Recipe
from nas.shared.network import SharedNetwork
from nas.shared.paths import Paths
from nas.space import proxy_side
from nas.training.brief import Training
from nas.training.loop import epoch_seed


@dataclass(frozen=True, slots=True)
class SharedRecipe:
    """How a shared network is trained: a step goes along the gradients of `paths` architectures.

    With `sandwich` the largest and the smallest are among them, and all others learn from what
    the largest answers instead of from the labels: the sandwich rule with in-place distillation,
    arXiv:1903.05134. `resolution` is the deployed one in pixels.
    """

    recipe: Recipe
    resolution: int
    paths: int = 1
    sandwich: bool = False

    def __post_init__(self) -> None:
        if self.paths < (least := 3 if self.sandwich else 1):
            raise InputError(f"paths: expected {least} or more a step, got {self.paths}")


def shared_recipe(recipe: Recipe) -> Recipe:
    """A recipe of brief trainings as one of a shared network.

    What it leaves at the defaults of brief trainings takes those of shared networks instead, which
    are trained one at a time, so on all threads that torch has.
    """
    alone = Recipe()
    ours = {"batch": 64, "subset": 10_000, "learning_rate": 0.1, "threads": torch.get_num_threads()}
    return recipe.but(**{k: v for k, v in ours.items() if getattr(recipe, k) == getattr(alone, k)})


class SharedTraining(Training):
    """`Training` of a shared network; every path sees the whole batch, at its own resolution."""

    module: SharedNetwork

    def __init__(
        self,
        network: SharedNetwork,
        images: Images,
        data: Data,
        how: SharedRecipe,
        paths: Paths,
        *,
        seed: int,
        device: str = "cpu",
    ) -> None:
        super().__init__(network, images, data, how.recipe, seed=seed, device=device)
        self.how, self._paths = how, paths

    def _epoch(self, epoch: int, generator: torch.Generator) -> float:
        drawn = self._paths.draw(random.Random(epoch_seed(self.seed, epoch)))
        self._drawn = filter(self.module.layout.holds, drawn)
        return super()._epoch(epoch, generator)

    def _loss(self, index: Tensor, generator: torch.Generator) -> Tensor:
        x, y = self._batch_of(index, generator)
        losses, targets, smoothing = [], y, self.recipe.label_smoothing
        for arch in self._drawn_for_a_step():
            logits = self.module(self._resized(x, arch), proxied(arch, self.recipe))
            losses.append(F.cross_entropy(logits, targets, label_smoothing=smoothing))
            if self.how.sandwich and targets is y:
                targets, smoothing = logits.detach().softmax(1), 0.0
        return torch.stack(losses).mean()

    def _drawn_for_a_step(self) -> Iterator[Architecture]:
        """The paths of a step; with a sandwich the largest comes first, since it teaches."""
        if not self.how.sandwich:
            return islice(self._drawn, self.how.paths)
        ends = self._paths.largest, self._paths.smallest
        return iter((*ends, *islice(self._drawn, self.how.paths - len(ends))))

    def _resized(self, x: torch.Tensor, arch: Architecture) -> torch.Tensor:
        side = proxy_side(arch.input[1], self.how.resolution, self.recipe.proxy_resolution)
        return resize(x, side).contiguous(memory_format=torch.channels_last)
