"""A sampler for objectives of which some are known before a trial runs.

Counting an architecture's operations takes a fraction of a millisecond and training it minutes, so
only accuracy deserves a model. A Gaussian process learns it; of many candidates, whose costs are
exact, the one that may add most hypervolume to the front is proposed. docs/search.md has the
formulas and figures.

    sampler = CostAwareSampler(known={1: macs_of_params}, feasible=within_budget, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from nas.errors import InputError
from nas.samplers.candidates import Judge, Params
from nas.samplers.encoding import Axis, Grid
from nas.samplers.history import Memory, asked_space, begun_space
from nas.samplers.proposer import Proposer

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)
Known = Callable[[dict[str, Any]], float]


class CostAwareSampler(BaseSampler):
    """Proposes what may add most to the front, by a model of the objectives that are not known.

    `known`: index of an objective → function of the params (external values) that returns its
    exact value in the study's own sign. `feasible`: whether params may be proposed.
    `search_space`: as for `study.ask`; otherwise it is taken from the call of `ask`, or from the
    trials so far. `n_startup`: trials before the model: the cheapest by each known cost, then
    such as differ most. `features`: numbers by which the model compares params, instead of the
    params themselves; those of a list within the list share a length scale. `key`: params of equal
    keys are one architecture and are tried once. `listed`: the only params that there are, where
    the space is a list and no product.

    No params are proposed that are infeasible, that a trial has, had or is enqueued with, or about
    which `known` raises or returns no finite number. SpaceExhausted is raised where none are left.
    """

    def __init__(
        self,
        known: Mapping[int, Known],
        feasible: Callable[[dict[str, Any]], bool] | None = None,
        *,
        search_space: Mapping[str, BaseDistribution] | None = None,
        seed: int | None = None,
        n_startup: int = 5,
        features: Callable[[dict[str, Any]], Sequence[float | Sequence[float]]] | None = None,
        key: Callable[[dict[str, Any]], Hashable] | None = None,
        listed: Iterable[dict[str, Any]] | None = None,
    ) -> None:
        self._space = None if search_space is None else _checked(search_space)
        self._known = dict(known)
        self._functions = (feasible, features, key, None if listed is None else list(listed))
        self._startup = n_startup
        self._random = random.Random(seed)
        self._independent = RandomSampler(seed=self._random.getrandbits(32))
        self._lock = threading.Lock()
        self._shared: dict[str, IntersectionSearchSpace] = {}  # by study
        self._proposed: dict[str, dict[int, Params]] = {}  # by study and number of trial
        self._proposers: dict[Grid, Proposer] = {}
        self._memories: dict[tuple[str, Grid], Memory] = {}  # by study
        self._said: set[str] = set()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Raises InputError where the study's objectives do not fit."""
        count = len(study.directions)
        if count < 2:
            raise InputError("CostAwareSampler: expected two or more objectives, got one")
        if wrong := [index for index in self._known if index not in range(count)]:
            raise InputError(
                f"known: expected indices of objectives from 0 to {count - 1}, got {wrong[0]!r}"
            )
        space = self._space or asked_space()
        if space and all(distribution.single() for distribution in space.values()):
            self.sample_relative(study, trial, space)  # Optuna asks where there is a choice only

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The space given, or asked for, or that the other trials share."""
        space = self._space or asked_space() or self._shared_space(study, trial)
        return {name: d for name, d in space.items() if Axis.of(name, d)}

    def _shared_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with self._lock:
            new = IntersectionSearchSpace()
            complete = self._shared.setdefault(study.study_name, new).calculate(study)
        return complete or begun_space(_others(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Params that may add most to the front; raises SpaceExhausted."""
        if not search_space:
            return {}
        with self._lock:
            proposed = self._proposed.setdefault(study.study_name, {})
            proposer = self._proposer(Grid.of(search_space))
            memory = self._memory(study, proposer.judge)
            trials = study.get_trials(deepcopy=False)
            history = memory.history(trials, trial.number, proposed)
            params = proposer.propose(history, _given(proposer.judge.grid, trial))
            proposed[trial.number] = params
        return params

    def _proposer(self, grid: Grid) -> Proposer:
        if grid not in self._proposers:
            judge = Judge(grid, self._known, *self._functions)
            self._proposers[grid] = Proposer(judge, self._startup, self._random)
        return self._proposers[grid]

    def _memory(self, study: Study, judge: Judge) -> Memory:
        key = study.study_name, judge.grid
        if key not in self._memories:
            self._memories[key] = Memory(judge, study.directions)
        return self._memories[key]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """At random: of a first trial, of a conditional parameter, or of a continuous one."""
        space = self.infer_relative_search_space(study, trial)
        if space and param_name not in space and param_name not in self._said:
            self._said.add(param_name)
            log.warning(
                "%s: conditional or continuous, so it is drawn independently of the model",
                param_name,
            )
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._proposed.get(study.study_name, {}).pop(trial.number, None)

    def reseed_rng(self) -> None:
        self._random.seed()
        self._independent.reseed_rng()


def _checked(space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    for name, distribution in space.items():
        if Axis.of(name, distribution) is None:
            raise InputError(
                f"search_space: {name}: expected a categorical or integer distribution, "
                f"got {distribution}"
            )
    return dict(space)


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    return [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]


def _given(grid: Grid, trial: FrozenTrial) -> dict[int, int]:
    """Values that the trial has already, by place: it was enqueued with them."""
    params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    return {
        place: axis.values.index(params[axis.name])
        for place, axis in enumerate(grid.axes)
        if params.get(axis.name) in axis.values
    }
