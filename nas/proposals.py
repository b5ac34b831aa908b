"""The sampler of a search: what it knows of a space before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import nan
from typing import Any

from optuna.samplers import BaseSampler

from nas.encoding import encoder
from nas.gate import Gate
from nas.metrics import METRICS
from nas.samplers import COST_AWARE, CostAwareSampler, GatedSampler, make_sampler
from nas.settings import Settings
from nas.space import Candidate, Params, Space, Value

REMEMBERED = 2**13  # candidates that are not worked out again


def proposer(settings: Settings, space: Space, gate: Gate, seed: int) -> BaseSampler:
    """The sampler that the settings name, whose proposals all pass the gate."""
    if settings.sampler == COST_AWARE:
        inner: BaseSampler = _cost_aware(settings, space, gate, seed)
    else:
        inner = make_sampler(settings.sampler, seed, settings.trials)
    return GatedSampler(inner, space.distributions(), gate.admits, gate.mend, seed)


def _cost_aware(settings: Settings, space: Space, gate: Gate, seed: int) -> CostAwareSampler:
    """Models accuracy only: counted costs are exact, latencies estimated.

    Architectures are told apart by what their blocks read. Unequal ones may still make one graph,
    which only the gate finds out and refuses.
    """

    @lru_cache(REMEMBERED)
    def candidate(values: tuple[Value, ...]) -> Candidate | None:
        return gate.candidate(dict(zip(space.parameters, values, strict=True)))

    def of(function: Callable[[Candidate], Any], otherwise: Any = nan) -> Callable[[Params], Any]:
        """`function` of params; `otherwise` where a block raises, which the gate has told."""

        def applied(params: Params) -> Any:
            found = candidate(tuple(params[path] for path in space.parameters))
            return otherwise if found is None else function(found)

        return applied

    return CostAwareSampler(
        {
            index: of(partial(gate.expected, name))
            for index, name in enumerate(settings.objectives)
            if not METRICS[name].maximise
        },
        of(gate.promising, otherwise=False),
        search_space=space.distributions(),
        seed=seed,
        features=of(encoder(space)),
        key=of(lambda found: hash(found.arch)),  # kept of every trial, and a thousandth of its size
    )
