"""Searches of a table of results, to compare samplers: `nas search --table FILE`.

    nas search --table macro.csv --encode arch:chars --accuracy mean_acc --cost macs \\
        --sampler random,cost-aware --trials 100 --seeds 10

A trial is a distinct row. A sampler that proposes a row again is told its result again: that is
an ask, and no trial.
"""

from __future__ import annotations

import csv
import math
import operator
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
from optuna.study import StudyDirection

from nas.errors import InputError
from nas.samplers import (
    COST_AWARE,
    CostAwareSampler,
    GatedSampler,
    SpaceExhausted,
    check_name,
    make_sampler,
)
from nas.table import Table, read_table

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

CSV = "hypervolume.csv"
LAST_SEED = 2**32 - 1  # that NumPy takes
PATIENCE = 20  # asks for each trial that is wanted; a sampler may repeat itself for ever
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}

Say = Callable[[str], None]


def _quiet(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """A trial of a search: which row of the table it tried, and the share reached with it."""

    sampler: str
    seed: int
    trial: int  # distinct rows so far
    asks: int  # proposals so far
    row: int  # of the table, from 0
    hypervolume: float  # share of the true front's
    seconds: float  # of the sampler alone, so far


@dataclass(frozen=True, slots=True)
class TableRun:
    """What a search of a table left: the CSV file, and its steps as a pandas DataFrame."""

    path: Path
    steps: pd.DataFrame

    def summary(self, trials: Sequence[int] = (10, 25, 50, 100, 200, 300)) -> pd.DataFrame:
        """Median and quartiles of the share over seeds, by sampler, after so many trials."""
        last = int(self.steps["trial"].max())
        wanted = sorted({*(t for t in trials if t < last), last})
        found = self.steps[self.steps["trial"].isin(wanted)].groupby(["sampler", "trial"])
        shares = found["hypervolume"]
        columns = {name: shares.quantile(q) for name, q in QUARTILES.items()}
        return pd.DataFrame(columns | {"asks": found["asks"].median()}).reset_index()


def search_table(
    table: str | Path,
    *,
    encode: str | Sequence[str],
    accuracy: str,
    cost: str | Sequence[str],
    sampler: str | Sequence[str] = COST_AWARE,
    trials: int = 40,
    seeds: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
    say: Say = _quiet,
) -> TableRun:
    """Search a CSV table of results by each sampler, with so many seeds from `seed` on.

    `encode`, `accuracy`, `cost`: columns, as `nas.table.read_table` takes them; several as a list
    or with commas between them; `trials`: distinct rows of each search; `out`: a folder for
    hypervolume.csv, by default results/<table>-<time>; `say`: told a line a trial. Raises
    InputError before anything is written.
    """
    names = _several(sampler)
    _check(names, trials, seeds, seed)
    found = read_table(table, _several(encode), accuracy, _several(cost))
    folder = Path(out or f"results/{Path(table).stem}-{time.strftime('%Y%m%d-%H%M%S')}")
    if (folder / CSV).exists():
        raise InputError(f"{folder / CSV}: exists; name another --out")
    say(_about(found))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searches = (
        run(found, name, sampler_of(found, name, own, trials), own, trials, say)
        for name in names
        for own in range(seed, seed + seeds)
    )
    folder.mkdir(parents=True, exist_ok=True)
    return TableRun(folder / CSV, _written(chain.from_iterable(searches), folder / CSV, say))


def _written(steps: Iterator[Step], path: Path, say: Say) -> pd.DataFrame:
    """The steps, each written as soon as it is taken."""
    taken = []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Step)], lineterminator="\n")
        writer.writeheader()
        for step in steps:
            taken.append(asdict(step))
            writer.writerow(taken[-1])
            file.flush()
            say(_line(step))
    return pd.DataFrame(taken)


def run(
    table: Table, name: str, sampler: BaseSampler, seed: int, trials: int, say: Say = _quiet
) -> Iterator[Step]:
    """One search: a step, labelled by name and seed, for every distinct row that is tried."""
    directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * (len(table.objectives) - 1)]
    study = optuna.create_study(directions=directions, sampler=sampler)
    rows: dict[int, None] = {}
    clock, limit = 0.0, PATIENCE * trials
    for asks in range(1, limit + 1):
        began = time.perf_counter()
        try:
            row = _ask(study, table)
        except SpaceExhausted as end:
            return say(f"{name}, seed {seed}: {end}; it ends after {len(rows)} trials")
        clock += time.perf_counter() - began
        if row not in rows:
            rows[row] = None
            yield Step(name, seed, len(rows), asks, row, table.share(list(rows)), clock)
        if len(rows) == len(table):
            return say(f"{name}, seed {seed}: all {len(table)} rows are tried; it ends")
        if len(rows) == trials:
            return None
    return say(f"{name}, seed {seed}: {len(rows)} distinct rows in {limit} asks; it ends")


def _ask(study: optuna.Study, table: Table) -> int:
    """The row that the sampler proposes, told at once."""
    asked = study.ask(dict(table.distributions))
    if (row := table.row(asked.params)) is None:
        raise RuntimeError(f"{asked.params}: not in the table, yet proposed")
    study.tell(asked, [float(value) for value in table.values[row]])
    return row


def sampler_of(table: Table, name: str, seed: int, trials: int) -> BaseSampler:
    """A sampler by name, that proposes rows of the table only."""
    if name == COST_AWARE:
        known = {i: partial(_cost, table, i) for i in range(1, len(table.objectives))}
        listed = None if len(table) == table.size else [*map(table.params, range(len(table)))]
        space = table.distributions
        return CostAwareSampler(known, search_space=space, seed=seed, listed=listed)
    return only_rows(table, make_sampler(name, seed, trials), seed)


def only_rows(table: Table, sampler: BaseSampler, seed: int) -> BaseSampler:
    """The sampler as it is, or where rows are missing, behind a gate that lets only rows pass."""
    if len(table) == table.size:
        return sampler
    gate = partial(_nearest, table)
    return GatedSampler(sampler, table.distributions, table.has, gate, seed)


def _cost(table: Table, objective: int, params: dict[str, Any]) -> float:
    row = table.row(params)
    return math.nan if row is None else float(table.values[row, objective])


def _nearest(table: Table, params: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A row that differs from the params in the fewest places."""
    wanted = tuple(params[name] for name in table.parameters)
    far = [sum(map(operator.ne, key, wanted)) for key in table.keys]
    near = min(far)
    return table.params(rng.choice([row for row, distance in enumerate(far) if distance == near]))


def _several(names: str | Sequence[str]) -> list[str]:
    """Names with commas between them, in one text or several."""
    texts = [names] if isinstance(names, str) else names
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _check(names: Sequence[str], trials: int, seeds: int, seed: int) -> None:
    for name in names:
        check_name(name)
    if len(set(names)) < max(len(names), 1):
        raise InputError(f"--sampler {','.join(names)!r}: expected each sampler once")
    for flag, value in (("--trials", trials), ("--seeds", seeds)):
        if value < 1:
            raise InputError(f"{flag} {value}: expected a number from 1 on")
    if not 0 <= seed <= LAST_SEED - seeds:
        raise InputError(f"--seed {seed}: expected a number from 0 to {LAST_SEED - seeds}")


def _about(table: Table) -> str:
    missing = table.size - len(table)
    said = f"{table.path}: {len(table):,} rows, {len(table.parameters)} parameters"
    if missing:
        said += f"; {missing:,} of {table.size:,} combinations are missing and are not proposed"
    return said


def _line(step: Step) -> str:
    where = f"{step.sampler}, seed {step.seed}, trial {step.trial}"
    return f"{where}: {step.hypervolume:.4f} of the true front's hypervolume"
