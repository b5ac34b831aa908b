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
from nas.records import FAILED, Trial
from nas.run import Run
from nas.space import Params, Space, Value
from nas.space_file import parse_space


def check_prior(paths: Sequence[str], task: Task) -> None:
    """Raise InputError where a run's accuracies are not of this task, with what differs."""
    for path in paths:
        info = Run(path).info
        if info["task"]["id"] != task.id:
            raise InputError(f"--from {path}: not the same task: {_difference(info, task)}")


def _difference(info: dict[str, Any], task: Task) -> str:
    settings = info["settings"]
    if info["task"]["data_id"] != task.data_id:
        return f"its data is {settings['data']!r}, here {task.data!r}"
    if settings["resolution"] != task.resolution:
        return f"its resolution is {settings['resolution']}, here {task.resolution}"
    before, here = asdict(Recipe.from_dict(settings["recipe"])), asdict(task.recipe)
    facts = [f"{k} is {before[k]}, here {here[k]}" for k in here if before[k] != here[k]]
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
        if not known or not same or known["source"] != "measured":
            return self.measure(trace(trial.architecture)).to_dict()
        scale = self.reference_ms / known["reference_ms"]
        times = {key: scale * known[key] for key in ("latency_ms", "low", "high", "reference_ms")}
        return {**known, **times}


def prior_trials(paths: Sequence[str], space: Space, clock: Clock | None) -> Iterator[Trial]:
    """The trials of earlier runs as records of a new one, each architecture once.

    They are numbered from 0, and have params where they are points of `space`.
    """
    seen: set[str] = set()
    for path in paths:
        run = Run(path)
        import_blocks(run.info["settings"]["blocks"])
        fixed = space_of(run).fixed
        for trial in run.records:
            if trial.id in seen:
                continue
            seen.add(trial.id)
            timed = clock is not None and trial.state != FAILED
            yield replace(
                trial,
                number=len(seen) - 1,
                params=_params(trial, fixed, space),
                latency=clock.latency(trial) if clock and timed else None,
                source=trial.source or f"{path}:{trial.number}",
                sampler={},
            )


def space_of(run: Run) -> Space:
    """The space of a run, as it was read."""
    path = run.path / "space.yaml"
    text = path.read_text()
    return parse_space(yaml.safe_load(text), str(path), name=run.info["space"], text=text)


def _params(trial: Trial, fixed: Mapping[str, Value], space: Space) -> Params:
    """The trial as a point of a space; empty where it is none."""
    known = {**fixed, **trial.params}
    if any(known.get(path) not in p.values for path, p in space.parameters.items()):
        return {}
    params = {path: known[path] for path in space.parameters}
    return params if space.candidate(params).id == trial.id else {}
