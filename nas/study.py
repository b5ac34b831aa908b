"""The Optuna study behind a search: proposals come out of it, finished trials go in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.metrics import METRICS
from nas.records import COMPLETE, STOPPED, Trial
from nas.rungs import Forecast
from nas.space import Candidate, Space


class Study:
    """Asks for candidates of a space, told of trials in whatever order they end.

    `forecast`: the final accuracy of a trial that was stopped.
    """

    def __init__(
        self,
        space: Space,
        sampler: BaseSampler,
        objectives: Sequence[str],
        forecast: Callable[[Trial], Forecast | None],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(directions=directions(objectives), sampler=sampler)
        self._space, self._objectives, self._forecast = space, objectives, forecast
        self._distributions = Shared(space.distributions())

    @property
    def sampler(self) -> BaseSampler:
        return self._study.sampler

    @sampler.setter
    def sampler(self, sampler: BaseSampler) -> None:
        self._study.sampler = sampler

    def ask(self) -> tuple[int, Candidate]:
        """A proposal, by its number in this study, and its candidate; raises SpaceExhausted."""
        asked = self._study.ask()
        drawn = asked.relative_params
        params = {
            name: own.to_external_repr(own.to_internal_repr(drawn[name]))
            for name, own in self._distributions.items()
        }
        # NOTE: Optuna would set one by one and copy all of them each time, 5 ms a trial.
        record = self._own(asked.number)
        record.params, record.distributions = params, self._distributions
        return asked.number, self._space.candidate(params)

    def begin(self, trial: Trial) -> int:
        """The number in this study of a trial that an earlier session has asked for."""
        told = create_trial(
            state=TrialState.RUNNING,
            params=trial.params,
            distributions=self._distributions,
            system_attrs=trial.sampler,
        )
        told.distributions = self._distributions
        self._study.add_trial(told)
        return len(self._study.get_trials(deepcopy=False)) - 1

    def kept(self, asked: int) -> dict[str, Any]:
        """What the sampler keeps with a proposal, and needs again when a study is rebuilt."""
        attrs = self._own(asked).system_attrs
        return {key: value for key, value in attrs.items() if key.endswith(":generation")}

    def _own(self, asked: int) -> FrozenTrial:
        """The study's own record of a trial, which is in memory."""
        return self._study.get_trials(deepcopy=False)[asked]

    def tell(self, asked: int, trial: Trial) -> None:
        """The proposal has ended as this trial."""
        if (values := self._values(trial)) is None:
            self._study.tell(asked, state=TrialState.FAIL)
        else:
            self._study.tell(asked, values)

    def add(self, trial: Trial) -> None:
        """A trial that this study has not asked for, if it is a point of the space."""
        if not self._space.has(trial.params):
            return
        values = self._values(trial)
        told = create_trial(
            state=TrialState.FAIL if values is None else TrialState.COMPLETE,
            params=trial.params,
            distributions=self._distributions,
            values=values,
            system_attrs=trial.sampler,
        )
        told.distributions = self._distributions
        self._study.add_trial(told)

    def _values(self, trial: Trial) -> list[float] | None:
        """What samplers learn from: of a stopped trial, the accuracy that was forecast."""
        if trial.state not in (COMPLETE, STOPPED) or trial.result is None:
            return None
        values = {name: trial.value(name) for name in self._objectives}
        if trial.state == STOPPED:
            forecast = self._forecast(trial)
            values["accuracy"] = forecast.accuracy if forecast else None
        if any(value is None for value in values.values()):
            return None
        return [float(value) for value in values.values() if value is not None]


class Shared(dict[str, BaseDistribution]):
    """Distributions that are never altered, so that copies of a trial may have the same ones.

    Optuna copies each trial that is added, which would take 15 kB a trial.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


def directions(objectives: Sequence[str]) -> list[StudyDirection]:
    """Optuna's names for which way is better."""
    up, down = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
    return [up if METRICS[name].maximise else down for name in objectives]
