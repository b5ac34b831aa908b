"""Optuna samplers by name, one that knows costs, and a wrapper that spends no trial in vain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from nas.arch import hint
from nas.errors import InputError
from nas.samplers.cost_aware import CostAwareSampler
from nas.samplers.gated import GatedSampler, SpaceExhausted

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = [
    "COST_AWARE",
    "NAMES",
    "SAMPLERS",
    "CostAwareSampler",
    "GatedSampler",
    "SpaceExhausted",
    "check_name",
    "make_sampler",
]


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
COST_AWARE = "cost-aware"  # needs to know costs, so it is made where they are known
NAMES = (COST_AWARE, *SAMPLERS)


def check_name(name: str) -> None:
    """Raise InputError where there is no sampler of this name."""
    if name not in NAMES:
        raise InputError(f"--sampler {name!r}: no such sampler; {hint(name, NAMES)}")


def make_sampler(name: str, seed: int, trials: int) -> BaseSampler:
    """One of SAMPLERS, for a search of about so many trials; raises InputError for another name."""
    check_name(name)
    return SAMPLERS[name](seed, trials)
