"""One network of a front: which, why, and how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nas.budget import Budget
from nas.certainty import Array, Draws, draw, merge_repeats, percent, point
from nas.errors import InputError
from nas.metrics import METRICS, SCORE
from nas.records import COMPLETE
from nas.run import Run
from nas.scores import SCORES, Score

OFTEN = 0.05  # share of the draws from which on another pick is worth naming
RULES = {
    "knee": "stands highest above the straight line from the front's cheapest network to its best",
    "best": "is the {most}",
    "fastest": "has the lowest {x}",
}


@dataclass(frozen=True, slots=True)
class Pick:
    """The network that `rule` picks from the front of accuracy and the cost `x`.

    `front` has a row a network, see `assess`; `row` is the pick's and `cheaper` that of the next
    cheaper one, if any. `chances` are the probabilities of networks to be what the rule would pick
    were everything known, from the likeliest on; `better` is that of being more accurate than
    `cheaper`. `score` is what accuracy means here.
    """

    rule: str
    x: str
    front: pd.DataFrame
    row: pd.Series
    cheaper: pd.Series | None
    better: float | None
    chances: dict[str, float]
    score: Score

    @property
    def network(self) -> str:
        return str(self.row["network"])

    @property
    def why(self) -> str:
        """The rule, for a person."""
        rule = RULES[self.rule].format(x=self.x, most=self.score.most)
        return f"of {len(self.front)} networks on the front it {rule}"

    @property
    def how_sure(self) -> str:
        """Chances, for a person."""
        chances = {**self.chances}
        text = f"it is truly on the front with {percent(self.row['on_front'])}"
        text += f" and truly the {self.rule} with {percent(chances.pop(self.network))}"
        others = [f"{network} with {percent(chance)}" for network, chance in chances.items()]
        text += f" ({', '.join(others[:3])})" if others else ""
        if self.cheaper is not None:
            text += f"; {self.score.more} than the next cheaper, {self.cheaper['network']}, "
            text += f"with {percent(self.better or 0.0)}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        found: dict[str, Any] = {"rule": self.rule, "network": self.network, "why": self.why}
        found |= {"how_sure": self.how_sure, "on_front": float(self.row["on_front"])}
        found |= {"picked": self.chances}
        if self.cheaper is not None:
            found |= {"cheaper": self.cheaper["network"], "more_accurate": self.better}
        return found


def candidates(runs: Sequence[Run]) -> pd.DataFrame:
    """The complete trials of runs, a row a network, named RUN:NUMBER in the column `network`."""
    tables = []
    for run in runs:
        done = run.trials[run.trials["state"] == COMPLETE]
        tables.append(done.assign(network=[f"{run.path}:{number}" for number in done["number"]]))
    return merge_repeats(pd.concat(tables, ignore_index=True))


def check_comparable(runs: Sequence[Run], x: str) -> None:
    """Raise InputError where networks of the runs cannot be judged by accuracy and cost `x`."""
    for run in runs[1:]:
        both = f"{runs[0].path} and {run.path}"
        if run.info["task"]["id"] != runs[0].info["task"]["id"]:
            raise InputError(f"{both}: expected equal data, recipe and resolution{_else(runs)}")
        if run.budget != runs[0].budget:
            raise InputError(f"{both}: expected equal budgets; --budget gives them one")
        if run.device != runs[0].device and (x == "latency" or "latency" in run.budget):
            raise InputError(
                f"{both}: expected latencies of one device; --latency-table FILE estimates them"
            )


def _else(runs: Sequence[Run]) -> str:
    """What else must be equal where a run's scores are of no trainings."""
    others = (run.score.of for run in runs if run.score != SCORES["alone"])
    return "".join(f"; scores of {what} are a run's own" for what in dict.fromkeys(others))


def assess(table: pd.DataFrame, budget: Budget, x: str, *, seed: int = 0) -> pd.DataFrame:
    """`candidates` of which all is known that matters, cheapest first.

    Adds `front`, whether a network is on it as measured, and `on_front`, the probability that it
    truly is.
    """
    known = _known(table, budget, x)
    return _assessed(known, budget, x, draw(known, budget, x, seed=seed))


def _assessed(known: pd.DataFrame, budget: Budget, x: str, drawn: Draws) -> pd.DataFrame:
    return known.assign(front=point(known, budget, x).front[0], on_front=drawn.on_front)


def _known(table: pd.DataFrame, budget: Budget, x: str) -> pd.DataFrame:
    columns = [METRICS[name].column for name in (x, *(name for name, _ in budget.limits))]
    known = table.dropna(subset=[SCORE, *columns])
    return known.sort_values(columns[0], kind="stable").reset_index(drop=True)


def pick(
    table: pd.DataFrame,
    budget: Budget,
    x: str,
    rule: str,
    *,
    seed: int = 0,
    score: Score = SCORES["alone"],
) -> Pick | None:
    """Pick from `candidates` within a budget; None where nothing is within. `score`: the runs'."""
    known = _known(table, budget, x)
    drawn = draw(known, budget, x, seed=seed)
    known = _assessed(known, budget, x, drawn)
    places = np.flatnonzero(known["front"])
    if not len(places):
        return None
    place = int(point(known, budget, x).choose(rule)[0])
    cheaper = max(places[places < place], default=None)
    return Pick(
        rule=rule,
        x=x,
        front=known.loc[places].reset_index(drop=True),
        row=known.iloc[place],
        cheaper=None if cheaper is None else known.iloc[int(cheaper)],
        better=None if cheaper is None else _more_accurate(drawn, place, cheaper),
        chances=_chances(known["network"], drawn.picked(rule), place),
        score=score,
    )


def _more_accurate(drawn: Draws, one: int, other: int) -> float:
    return float(np.mean(drawn.accuracy[:, one] > drawn.accuracy[:, other]))


def _chances(networks: pd.Series, shares: Array, place: int) -> dict[str, float]:
    """Likely picks from the likeliest on, the one as measured among them whatever its chance."""
    named = [i for i in np.argsort(-shares, kind="stable") if shares[i] >= OFTEN or i == place]
    return {str(networks[i]): float(shares[i]) for i in named}
