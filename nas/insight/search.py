"""How a search went: hypervolume, what rungs saved, how early networks could be ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from nas import ranking
from nas.records import COMPLETE, STOPPED, Trial
from nas.run import Run, hypervolume_of
from nas.rungs import may_enter


def volumes(runs: Sequence[Run]) -> pd.DataFrame:
    """Hypervolume after each trial (the index, from 1 on), a column a run.

    The reference is the one of the first run, so that runs of one task can be compared.
    """
    reference = runs[0].info["hypervolume_reference"]
    columns = {}
    for run in runs:
        allowed = [trial if trial.within(run.budget) else None for trial in run.records]
        found = [
            hypervolume_of([t for t in allowed[:n] if t], reference, run.objectives)
            for n in range(1, len(allowed) + 1)
        ]
        columns[run.path.name] = pd.Series(found, index=range(1, len(found) + 1))
    return pd.DataFrame(columns).rename_axis("trials")


def replay_rungs(run: Run, rungs: Sequence[int]) -> pd.DataFrame:
    """What rungs would have made of the complete trials of a run, in their order.

    A row a trial: `number`, `epochs` that it would have been trained for, `state`. Their recorded
    trainings are taken as they are; at a rung only those that would have ended before are known.
    """
    done: list[Trial] = []
    for trial in run.records:
        if trial.state == COMPLETE:
            done.append(climbed(trial, rungs, done, run.objectives))
    rows = [(t.number, len(t.result.curve), t.state) for t in done if t.result]
    return pd.DataFrame(rows, columns=["number", "epochs", "state"])


def climbed(
    whole: Trial, rungs: Sequence[int], done: Sequence[Trial], objectives: Sequence[str]
) -> Trial:
    """A complete trial as a search by rungs would have had it after those that are `done`."""
    assert whole.result
    for epochs in rungs:
        result = replace(whole.result, curve=whole.result.curve[:epochs])
        trial = replace(whole, result=result, state=STOPPED)
        if not may_enter(trial, done, objectives):
            return trial
    return whole


def agreement(run: Run) -> pd.DataFrame:
    """How well each epoch's training loss ranks the complete trials as their final accuracy does.

    The index is the epoch, from 1 on; the columns are those of `nas.ranking.Agreement`.
    """
    done = [t.result for t in run.records if t.state == COMPLETE and t.result]
    losses = np.array([result.curve for result in done])
    final = [result.score for result in done]
    rows = [ranking.agreement(-epoch, final) for epoch in losses.T]
    index = pd.RangeIndex(1, len(rows) + 1, name="epoch")
    return pd.DataFrame([asdict(row) for row in rows], index=index)
