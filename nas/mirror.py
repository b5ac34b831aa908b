"""A search's trials in an Optuna storage of one's own, live, so that optuna-dashboard shows them.

A thread adds each finished trial, so that a slow storage does not slow the search and one that
fails does not end it. trials.jsonl remains the truth: what a mirror lacks is added when the run
goes on. Of a trial it holds the params, where they are a point of the space; the objectives'
values, of a stopped one as far as it came; the relative excess over each limit of the budget as
constraints; and as user attributes its number, id, costs and what else `_attributes` lists.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from nas.budget import Budget
from nas.errors import InputError
from nas.progress import Facts, Progress
from nas.records import COMPLETE, FAILED, STOPPED, Trial
from nas.settings import Settings
from nas.space import Space
from nas.storage import close_storage, open_storage, public, reason
from nas.study import directions

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

PAUSE = 30.0  # seconds before a storage that failed is tried again
GRACE = 10.0  # seconds that it has for what is left when the search ends


class Mirror(Progress):
    """Adds the finished trials to a study of the storage, those first that it lacks.

    `resolved` is the storage's URL or file, `name` the study's. The first failure is told to `tell`
    with its reason, and at the end how many trials are missing. Raises InputError where the storage
    cannot be opened.
    """

    def __init__(
        self,
        resolved: str,
        name: str,
        settings: Settings,
        space: Space,
        tell: Callable[[str], None],
    ) -> None:
        self._url, self._settings, self._space, self._tell = resolved, settings, space, tell
        self._budget = Budget.parse(settings.budget)
        self._distributions = space.distributions()
        self._storage = open_storage(resolved)
        try:
            self._study = _study(self._storage, name, settings.objectives)
        except Exception as error:  # it may be read-only
            raise InputError(f"--storage {public(resolved)}: {reason(error, resolved)}") from None
        self._queue: SimpleQueue[Trial | None] = SimpleQueue()
        self._ending = Event()
        self._held: set[int] | None = None  # numbers of trials; unknown after a failure
        self._put = self._added = 0
        self._trouble: str | None = None
        self._told = False
        self._thread = Thread(target=self._work, name="mirror", daemon=True)

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        super().start(facts, trials)
        for trial in trials:
            self._enqueue(trial)
        self._thread.start()

    def begin(self, trial: Trial, epochs: int) -> None:
        self._warn()

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self._enqueue(trial)
        self._warn()

    def stop(self) -> None:
        """Wait for what is left, but not for long."""
        self._queue.put(None)
        self._ending.set()
        self._thread.join(GRACE)
        self._warn()
        if missing := self._put - self._added:
            self._tell(
                f"{public(self._url)} lacks {missing} of {self._put} trials, which "
                f"nas search --resume {self.folder} adds"
            )

    def _enqueue(self, trial: Trial) -> None:
        self._put += 1
        self._queue.put(trial.light())

    def _warn(self) -> None:
        """Once, and in the search's own thread, which may be drawing."""
        if self._trouble and not self._told:
            self._told = True
            self._tell(f"{public(self._url)} fails: {self._trouble}; the search goes on without it")

    # In the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._empty()
        finally:
            close_storage(self._storage)

    def _empty(self) -> None:
        """Add what is in the queue until the search ends."""
        while (trial := self._queue.get()) is not None:
            while not self._add(trial):
                if self._ending.wait(PAUSE):
                    return
            self._added += 1

    def _add(self, trial: Trial) -> bool:
        """Add a trial unless it is there; false where the storage fails."""
        try:
            if self._held is None:
                self._held = self._numbers()
            if trial.number not in self._held:
                self._storage.create_new_trial(self._study, self._frozen(trial))
                self._held.add(trial.number)
        except Exception as error:  # drivers raise what they like
            self._held = None  # it may have been added before the answer was lost
            self._trouble = self._trouble or reason(error, self._url)
            return False
        return True

    def _numbers(self) -> set[int]:
        trials = self._storage.get_all_trials(self._study, deepcopy=False)
        return {trial.user_attrs["number"] for trial in trials}

    def _frozen(self, trial: Trial) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        states = {
            COMPLETE: TrialState.COMPLETE,
            STOPPED: TrialState.PRUNED,
            FAILED: TrialState.FAIL,
        }
        inside = self._space.has(trial.params)
        frozen = create_trial(
            state=states[trial.state],
            values=None if trial.state == FAILED else self._values(trial),
            params=trial.params if inside else {},
            distributions=self._distributions if inside else {},
            user_attrs=_attributes(trial),
            constraints=self._budget.excess({n: trial.value(n) for n, _ in self._budget.limits}),
        )
        if frozen.datetime_complete:
            frozen.datetime_start = frozen.datetime_complete - timedelta(seconds=trial.seconds)
        return frozen

    def _values(self, trial: Trial) -> list[float] | None:
        values = [trial.value(name) for name in self._settings.objectives]
        known = [value for value in values if value is not None]
        return known if len(known) == len(values) else None


def _study(storage: BaseStorage, name: str, objectives: Sequence[str]) -> int:
    """The study of this name, made where there is none; its id in the storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        directions=directions(objectives),
        load_if_exists=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(objectives))
    return storage.get_study_id_from_name(name)


def _attributes(trial: Trial) -> dict[str, Any]:
    """What helps to find a trial's line, and to judge it."""
    result, latency = trial.result, trial.latency or {}
    found = {
        "number": trial.number,
        "id": trial.id,
        "seed": trial.seed,
        **trial.cost,
        "epochs": len(result.curve) if result else None,
        "validation_size": result.validation_size if result else None,
        "accuracy": result.accuracy if result and result.accuracy != result.score else None,
        "latency_ms": latency.get("latency_ms"),
        "latency_source": latency.get("source"),
        "source": trial.source,
        "error": trial.error,
    }
    return {key: value for key, value in found.items() if value is not None}
