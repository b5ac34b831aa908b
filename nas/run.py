"""A finished or running search as tables: `nas.load("results/NAME").front`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nas.arch import Architecture
from nas.budget import Budget
from nas.errors import InputError
from nas.metrics import METRICS, SCORE
from nas.pareto import hypervolume, maximised, non_dominated, points_of
from nas.records import (
    BASELINES,
    COMPLETE,
    CONFIRMED,
    FINAL,
    TRIALS,
    Trial,
    read_json,
    read_lines,
    read_trials,
    write_atomic,
)
from nas.scores import SCORES, Score, standard_error

COLUMNS = ["number", "id", "state", "accuracy", "accuracy_error", "cross_entropy"]
COLUMNS += ["score", "score_error", "epochs", "validation_size"]
COLUMNS += ["latency_ms", "latency_low", "latency_high", "latency_source"]
COLUMNS += ["macs", "params", "activations", "traffic_bytes", "memory_bytes", "size_bytes"]
COLUMNS += ["over_budget", "seconds", "seed", "error", "name", "source", "family"]
COLUMNS += ["retries", "cpu"]


class Run:
    """The folder of a search, read when asked; `budgets` take the place of its own."""

    def __init__(self, path: str | Path, budgets: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self.info: dict[str, Any] = read_json(self.path / "run.json")
        if budgets:
            self.info["settings"]["budget"] = list(budgets)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.records)} trials)"

    @cached_property
    def records(self) -> list[Trial]:
        """The finished trials in order; raises InputError where the file was altered."""
        return read_trials(self.path / TRIALS)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row a trial: results, costs, parameters; `architecture` is an `Architecture`."""
        return frame(self.records, self.budget, self.finals)

    @property
    def budget(self) -> Budget:
        return Budget.parse(self.info["settings"]["budget"])

    @cached_property
    def finals(self) -> dict[int, dict[str, Any]]:
        """Latencies of the front measured once more at the end, by the trials' numbers."""
        return {line["number"]: line["latency"] for line in read_lines(self.path / FINAL)}

    @cached_property
    def baselines(self) -> pd.DataFrame:
        """A row a published network that was evaluated beside the search."""
        found = read_trials(self.path / BASELINES)  # numbered -1, -2, …, in whatever order
        return frame(sorted(found, key=lambda trial: -trial.number))

    @cached_property
    def confirmed(self) -> list[Trial]:
        """Candidates of the front with the results of longer trainings (`--confirm`)."""
        return read_trials(self.path / CONFIRMED)

    @property
    def device(self) -> dict[str, Any] | None:
        """What its latencies are of, as `nas.latency.device` writes it; None where it has none."""
        return self.info.get("latencies_of")

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(self.info["settings"]["objectives"])

    @property
    def proxy(self) -> str:
        """Where its scores come from, a key of `nas.scores.SCORES`."""
        return str(self.info.get("task", {}).get("proxy", "alone"))

    @property
    def score(self) -> Score:
        """What it ranks by, which is not always an accuracy; the column `score` has it."""
        return SCORES[self.proxy]

    @property
    def cost(self) -> str:
        """The first cost among the objectives."""
        return next(name for name in self.objectives if not METRICS[name].maximise)

    @property
    def front(self) -> pd.DataFrame:
        """The rows of `trials` within the budget that no other dominates, cheapest first."""
        return front(self.trials, self.objectives)

    @property
    def hypervolume(self) -> float:
        """Between the front and the run's fixed reference, in the objectives' units."""
        found = [trial for trial in self.records if trial.within(self.budget)]
        return hypervolume_of(found, self.info["hypervolume_reference"], self.objectives)

    @property
    def cpus(self) -> dict[str, int]:
        """How many trials each kind of processor has trained, most first."""
        return dict(Counter(trial.cpu for trial in self.records if trial.cpu).most_common())

    def architecture(self, number: int) -> Architecture:
        """The architecture of a trial; raises InputError where there is none of that number."""
        for trial in self.records:
            if trial.number == number:
                return trial.architecture
        raise InputError(f"{self.path}: no trial {number}, it has {len(self.records)}")

    def write_front(self) -> None:
        """Write front.csv, front.png and architectures/NUMBER.yaml of the front."""
        from nas.plot import save_front

        found = self.front
        table = found.drop(columns=["architecture"])
        write_atomic(self.path / "front.csv", table.to_csv(index=False))
        folder = self.path / "architectures"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.yaml"):
            if old.stem not in set(map(str, found["number"])):
                old.unlink()
        for row in found.itertuples():
            write_atomic(folder / f"{row.number}.yaml", row.architecture.to_yaml())  # type: ignore[union-attr]
        save_front([self], self.path / "front.png")


def load(path: str | Path) -> Run:
    """The run in a folder; raises InputError where it is none."""
    return Run(path)


def frame(
    records: Sequence[Trial],
    budget: Budget | None = None,
    finals: Mapping[int, dict[str, Any]] | None = None,
) -> pd.DataFrame:
    """A row a record, in the columns of `COLUMNS`, `params.…` and `architecture`.

    A latency in `finals`, by number, takes the place of the trial's. `over_budget` marks what
    exceeds `budget`: a final latency, or a trial of an earlier run with another budget.
    """
    finals = finals or {}
    records = [replace(t, latency=finals.get(t.number, t.latency)) for t in records]
    rows = [_row(trial, budget or Budget()) for trial in records]
    params = sorted({key for row in rows for key in row if key.startswith("params.")})
    table = pd.DataFrame(rows, columns=[*COLUMNS, *params, "architecture"])
    numbers = [c for c in COLUMNS[3:20] if c != "latency_source"]
    return table.astype(dict.fromkeys(numbers, float))


def _row(trial: Trial, budget: Budget) -> dict[str, Any]:
    row: dict[str, Any] = {
        "number": trial.number,
        "id": trial.id,
        "state": trial.state,
        "seconds": trial.seconds,
        "seed": trial.seed,
        "error": trial.error,
        "name": trial.name,
        "source": trial.source,
        "retries": trial.retries,
        "cpu": trial.cpu,
        "over_budget": not trial.within(budget),
        "family": family(trial.arch),
        "architecture": _architecture(trial),
    }
    if result := trial.result:
        row |= {
            "accuracy": result.accuracy,
            "accuracy_error": _error(result.accuracy, result.validation_size),
            "cross_entropy": result.cross_entropy,
            "score": result.score,
            "score_error": result.score_error,
            "epochs": len(result.curve),
            "validation_size": result.validation_size,
        }
    if latency := trial.latency:
        row |= {
            "latency_ms": latency["latency_ms"],
            "latency_low": latency["low"],
            "latency_high": latency["high"],
            "latency_source": latency.get("source", "measured"),
        }
    row |= {METRICS[name].column: value for name, value in trial.cost.items()}
    row |= {f"params.{path}": value for path, value in trial.params.items()}
    return row


def _error(share: float | None, images: int) -> float | None:
    return None if share is None else standard_error(share, images)


def _architecture(trial: Trial) -> Architecture | None:
    try:
        return trial.architecture if trial.arch else None
    except InputError:  # a block that is not registered here
        return None


def family(arch: dict[str, Any]) -> str | None:
    """The block of most layers in an architecture's plain data."""
    depths: Counter[str] = Counter()
    for stage in arch.get("stages", ()):
        depths[stage["block"]] += stage["depth"]
    return depths.most_common(1)[0][0] if depths else None


def front(table: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """The complete rows within the budget that no other dominates, by rising cost.

    `tie` marks a row whose score exceeds a cheaper row's of the front by no more than the
    standard error of their difference: the two cannot be told apart.
    """
    columns = [METRICS[name].column for name in objectives]
    complete = table[(table["state"] == COMPLETE) & ~table["over_budget"].astype(bool)]
    mask = non_dominated(complete[columns].to_numpy(float), maximised(objectives))
    costs = [column for column in columns if column != SCORE]
    found = complete[mask].sort_values(costs[:1] or columns).reset_index(drop=True)
    found.insert(6, "tie", _ties(found))
    return found


def _ties(found: pd.DataFrame) -> list[bool]:
    ties, best, spread = [], -np.inf, 0.0
    for score, error in zip(found["score"], found["score_error"], strict=True):
        # The difference of two scores is as uncertain as both of them.
        ties.append(bool(score - best <= np.hypot(error, spread)))
        if not ties[-1]:
            best, spread = score, error
    return ties


def hypervolume_of(
    records: Sequence[Trial], reference: dict[str, float], objectives: Sequence[str]
) -> float:
    """Hypervolume of the complete records, in the objectives' units."""
    points = points_of([trial for trial in records if trial.state == COMPLETE], objectives)
    return hypervolume(points, [reference[n] for n in objectives], maximised(objectives))
