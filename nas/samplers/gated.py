"""A sampler whose every proposal has passed a gate, at no cost of a trial.

Optuna would have an unwanted proposal told as failed or punished; both mislead its samplers and
spend trials. The space is rectangular, so the whole setting can be drawn at once and drawn again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

DRAWS = 10  # of the inner sampler before the last draw is mended

Params = dict[str, Any]


class SpaceExhausted(Exception):
    """No setting is left that passes the gate, or none was found."""


class GatedSampler(BaseSampler):
    """`inner`, with each proposal drawn again until `admits`, then mended by `mend`.

    `mend(params, rng)` returns an admitted setting near `params`, or raises SpaceExhausted.
    """

    def __init__(
        self,
        inner: BaseSampler,
        distributions: Mapping[str, BaseDistribution],
        admits: Callable[[Params], bool],
        mend: Callable[[Params, random.Random], Params],
        seed: int,
    ) -> None:
        self._inner = inner
        self._distributions = dict(distributions)
        self._admits = admits
        self._mend = mend
        self._rng = random.Random(seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        space = self._inner.infer_relative_search_space(study, trial)
        params: Params = {}
        for _ in range(DRAWS):
            try:
                params = self._draw(study, trial, space)
            except SpaceExhausted:  # as far as `inner` looks, which `mend` may see beyond
                break
            if self._admits(params):
                return params
        return self._mend(params, self._rng)

    def _draw(self, study: Study, trial: FrozenTrial, space: dict[str, Any]) -> Params:
        drawn = self._inner.sample_relative(study, trial, space)
        return {
            name: drawn[name]
            if name in drawn
            else self._inner.sample_independent(study, trial, name, distribution)
            for name, distribution in self._distributions.items()
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()
