"""Results of earlier runs on the same task, so that nothing is evaluated twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import yaml

from nas.arch import trace
from nas.blocks import import_blocks
from nas.errors import InputError
from nas.evaluate import Task
from nas.graph import Graph
from nas.latency import Latency
from nas.recipe import Recipe
from nas.records import COMPLETE, STOPPED, Trial
from nas.run import Run
from nas.scores import SCORES
from nas.settings import Settings
from nas.space import Params, Space, Value
from nas.space_file import parse_space

ALIKE = ("objectives", "budget")  # settings by which trials are stopped


def check_prior(paths: Sequence[str], task: Task) -> None:
    """Raise InputError where a run's accuracies are not of this task, with what differs."""
    for path in paths:
        run = Run(path)
        if run.info["task"]["id"] != task.id:
            raise InputError(f"--from {path}: not the same task: {_difference(run, task)}")


def _difference(run: Run, task: Task) -> str:
    settings = run.info["settings"]
    if run.info["task"]["data_id"] != task.data_id:
        return f"its data is {settings['data']!r}, here {task.data!r}"
    if settings["resolution"] != task.resolution:
        return f"its resolution is {settings['resolution']}, here {task.resolution}"
    if run.score != SCORES["alone"]:
        return f"its scores are of {run.score.of}"
    before, here = asdict(Recipe.from_dict(settings["recipe"])), asdict(task.recipe)
    facts = [f"{k} is {before[k]}, here {here[k]}" for k in here if before[k] != here[k]]
    if not facts:
        return "another version of this package made it, whose recipe had other settings"
    return f"in its recipe {', '.join(facts)}"


@dataclass(frozen=True, slots=True)
class Clock:
    """What a run's latencies are of: the reference's milliseconds on an engine."""

    reference_ms: float
    backend: str
    threads: int
    cpu: str
    measure: Callable[[Graph], Latency]

    def latency(self, trial: Trial) -> dict[str, Any]:
        """The trial's latency in this run's unit; measured where it is of something else."""
        known = trial.latency
        same = known and all(
            known[key] == getattr(self, key) for key in ("backend", "threads", "cpu")
        )
        if not known or not same or known.get("source") == "estimated":
            return self.measure(trace(trial.architecture)).to_dict()
        scale = self.reference_ms / known["reference_ms"]
        times = {key: scale * known[key] for key in ("latency_ms", "low", "high", "reference_ms")}
        return {**known, **times}


def prior_trials(settings: Settings, space: Space, clock: Clock | None) -> list[Trial]:
    """The results of earlier runs as records of a new one, each architecture once.

    Complete ones first; stopped ones only of a search of the same objectives and budget, since
    others might not have stopped them. They are numbered from 0, and have the params of `space`
    where they are points of it.
    """
    found: dict[str, Trial] = {}
    for state in (COMPLETE, STOPPED):
        for path in settings.prior:
            run = Run(path)
            alike = all(run.info["settings"][k] == list(getattr(settings, k)) for k in ALIKE)
            if state == COMPLETE or alike:
                for trial in _taken(run, state, space, clock):
                    found.setdefault(trial.id, trial)
    return [replace(trial, number=number) for number, trial in enumerate(found.values())]


def _taken(run: Run, state: str, space: Space, clock: Clock | None) -> Iterator[Trial]:
    import_blocks(run.info["settings"]["blocks"])
    fixed = space_of(run).fixed
    for trial in run.records:
        if trial.state == state:
            yield replace(
                trial,
                params=_params(trial, fixed, space),
                latency=clock.latency(trial) if clock else None,
                source=trial.source or f"{run.path}:{trial.number}",
                sampler={},
            )


def space_of(run: Run) -> Space:
    """The space of a run, as it was read."""
    path = run.path / "space.yaml"
    text = path.read_text()
    return parse_space(yaml.safe_load(text), str(path), name=run.info["space"], text=text)


def _params(trial: Trial, fixed: Mapping[str, Value], space: Space) -> Params:
    """The trial as a point of a space; where it is none, all that it was made from."""
    known = {**fixed, **trial.params}
    params = {path: known[path] for path in space.parameters if path in known}
    return params if space.has(params) and space.candidate(params).id == trial.id else known
