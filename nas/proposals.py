"""The sampler of a search: what it knows of a space before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from optuna.samplers import BaseSampler

from nas.arch import Architecture
from nas.encoding import encoder
from nas.gate import Gate
from nas.metrics import METRICS
from nas.samplers import COST_AWARE, CostAwareSampler, GatedSampler, make_sampler
from nas.settings import Settings
from nas.space import Candidate, Params, Space, Value

REMEMBERED = 2**13  # candidates that are not worked out again


def proposer(settings: Settings, space: Space, gate: Gate, seed: int) -> BaseSampler:
    """The sampler that the settings name, whose proposals all pass the gate."""
    refused: set[Architecture] = set()

    def admits(params: Params) -> bool:
        if gate.admits(params):
            return True
        with suppress(Exception):  # a user's block may raise anything
            refused.add(space.architecture(params))
        return False

    if settings.sampler == COST_AWARE:
        inner: BaseSampler = _cost_aware(settings, space, gate, refused, seed)
    else:
        inner = make_sampler(settings.sampler, seed, settings.trials)
    return GatedSampler(inner, space.distributions(), admits, gate.mend, seed)


def _cost_aware(
    settings: Settings, space: Space, gate: Gate, refused: Container[Architecture], seed: int
) -> CostAwareSampler:
    """Models accuracy only: counted costs are exact, latencies estimated.

    Architectures are told apart by what their blocks read. Unequal ones may still make one graph,
    which only the gate finds out; those are `refused`.
    """

    @lru_cache(REMEMBERED)
    def candidate(values: tuple[Value, ...]) -> Candidate:
        return space.candidate(dict(zip(space.parameters, values, strict=True)))

    def of(function: Callable[[Candidate], Any]) -> Callable[[Params], Any]:
        return lambda params: function(candidate(tuple(params[p] for p in space.parameters)))

    return CostAwareSampler(
        {
            index: of(partial(gate.expected, name))
            for index, name in enumerate(settings.objectives)
            if not METRICS[name].maximise
        },
        of(lambda found: found.arch not in refused and gate.promising(found)),
        search_space=space.distributions(),
        seed=seed,
        features=of(encoder(space)),
        key=of(lambda found: found.arch),
    )
