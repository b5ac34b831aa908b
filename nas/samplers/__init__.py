"""Optuna samplers by name, and the wrapper that spends no trial on what is not wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.arch import hint
from nas.errors import InputError
from nas.samplers.gated import GatedSampler, SpaceExhausted

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["SAMPLERS", "GatedSampler", "SpaceExhausted", "make_sampler"]


def _random(seed: int, trials: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _nsga2(seed: int, trials: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    # Optuna's 50 would make a search of 40 trials a random one.
    return NSGAIISampler(seed=seed, population_size=max(8, min(50, trials // 5)))


def _tpe(seed: int, trials: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    startup = max(5, min(10, math.ceil(trials / 4)))
    return TPESampler(seed=seed, multivariate=True, n_startup_trials=startup)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "nsga2": _nsga2,
    "tpe": _tpe,
    "random": _random,
}


def make_sampler(name: str, seed: int, trials: int) -> BaseSampler:
    """A sampler for a search of about so many trials; raises InputError for an unknown name."""
    if name not in SAMPLERS:
        raise InputError(f"--sampler {name!r}: no such sampler; {hint(name, SAMPLERS)}")
    return SAMPLERS[name](seed, trials)
