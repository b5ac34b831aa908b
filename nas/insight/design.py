"""What a space holds, by a table of its networks (`Run.trials`) and what these score (`Run.score`).

A search prefers good networks, so that only a run of the sampler `random` speaks for its space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study, create_study
from optuna.trial import create_trial

from nas.budget import Budget
from nas.certainty import draw, with_intervals
from nas.metrics import METRICS, SCORE
from nas.records import COMPLETE

PARAMS = "params."  # before a parameter's path, in a table
STEPS = 120  # budgets on a logarithmic axis


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that were trained to the end, or scored at once."""
    return table[table["state"] == COMPLETE].reset_index(drop=True)


def error_distribution(table: pd.DataFrame, by: str = "family") -> pd.DataFrame:
    """Share of the networks of each sub-space with an error of at most so much: a row a network.

    Radosavovic et al. 2020, "Designing network design spaces", arXiv:2003.13678, equation 1. The
    error is 1 less the score, which of networks trained alone is the accuracy.
    Columns: `by`, `error`, `share`, and the sub-space's `networks`.
    """
    found = complete(table).assign(error=lambda rows: 1 - rows["score"])
    found = found.sort_values("error", kind="stable")
    groups = found.groupby(by)["error"]
    found["networks"] = groups.transform("size")
    found["share"] = (groups.cumcount() + 1) / found["networks"]
    return found[[by, "error", "share", "networks"]].reset_index(drop=True)


def winners(table: pd.DataFrame, x: str, by: str = "family", *, seed: int = 0) -> pd.DataFrame:
    """How likely the most accurate network within a budget is of each sub-space.

    A row a budget on the cost `x` (the index), a column a sub-space; rows sum up to 1. Chances are
    over the errors of the accuracies, as `nas.certainty` has them, for the networks of the table.
    """
    known = with_intervals(complete(table).dropna(subset=[SCORE, METRICS[x].column]))
    accuracy = draw(known, Budget(), x, seed=seed).accuracy
    costs = known[METRICS[x].column].to_numpy(float)
    names = sorted(known[by].unique())
    places = np.array([names.index(name) for name in known[by]])
    budgets = np.geomspace(costs.min(), costs.max() * (1 + 1e-9), STEPS)
    shares = np.zeros((len(budgets), len(names)))
    for i, budget in enumerate(budgets):
        best = np.where(costs <= budget, accuracy, -1.0).argmax(axis=1)
        shares[i] = np.bincount(places[best], minlength=len(names)) / len(accuracy)
    return pd.DataFrame(shares, index=pd.Index(budgets, name=x), columns=names)


def varied(table: pd.DataFrame) -> list[str]:
    """Paths of the parameters that have more than one value."""
    columns = [name for name in table if str(name).startswith(PARAMS)]
    return [str(c).removeprefix(PARAMS) for c in columns if table[c].nunique() > 1]


def importances(table: pd.DataFrame, y: str = "accuracy", *, seed: int = 0) -> pd.DataFrame:
    """Optuna's importances of the parameters for a metric: a row a parameter, most important first.

    Columns: fANOVA (Hutter et al. 2014), mean decrease of impurity, and PED-ANOVA (Watanabe et al.
    2023), which asks what tells the best tenth from the others. Each sums up to 1.
    """
    from optuna.importance import (  # with scikit-learn, which takes a while
        FanovaImportanceEvaluator,
        MeanDecreaseImpurityImportanceEvaluator,
        PedAnovaImportanceEvaluator,
    )

    study = _study(complete(table), y)
    evaluators = {
        "fANOVA": FanovaImportanceEvaluator(seed=seed),
        "impurity": MeanDecreaseImpurityImportanceEvaluator(seed=seed),
        "PED-ANOVA": PedAnovaImportanceEvaluator(),
    }
    found = pd.DataFrame({name: e.evaluate(study) for name, e in evaluators.items()})
    found = found / found.sum().replace(0.0, 1.0)
    return found.sort_values("fANOVA", ascending=False)


def _study(table: pd.DataFrame, y: str) -> Study:
    """The table as a study, each parameter with the values that occur."""
    values = {path: table[PARAMS + path] for path in varied(table)}
    spaces: dict[str, BaseDistribution] = {
        p: CategoricalDistribution(sorted(v.unique().tolist(), key=str)) for p, v in values.items()
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line a study
    study = create_study(direction="maximize" if METRICS[y].maximise else "minimize")
    for i, value in enumerate(table[METRICS[y].column]):
        params = {path: column.tolist()[i] for path, column in values.items()}
        study.add_trial(create_trial(params=params, distributions=spaces, value=float(value)))
    return study


def effects(table: pd.DataFrame, paths: Sequence[str], y: str = "accuracy") -> pd.DataFrame:
    """Marginal effects: the mean of a metric over the networks with each value of a parameter.

    Columns: `parameter`, `value`, `mean`, its standard `error`, `networks`.
    """
    done, tables = complete(table), []
    for path in paths:
        groups = done.groupby(PARAMS + path)[METRICS[y].column]
        found = groups.agg(mean="mean", error="sem", networks="size").rename_axis("value")
        tables.append(found.reset_index().assign(parameter=path))
    columns = ["parameter", "value", "mean", "error", "networks"]
    return pd.concat(tables, ignore_index=True)[columns]
