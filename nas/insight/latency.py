"""Latency as it was measured, and as an estimator would have had it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nas.arch import trace
from nas.latency import LatencyEstimator

FOLDS = 5


def estimates(table: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """The timed rows with `estimate`, `estimate_low` and `estimate_high` in milliseconds.

    Each fifth is estimated by a `LatencyEstimator` that was fitted to the other four.
    """
    timed = table.dropna(subset=["latency_ms", "architecture"]).reset_index(drop=True)
    graphs = [trace(architecture) for architecture in timed["architecture"]]
    folds = np.random.default_rng(seed).permutation(len(timed)) % FOLDS
    rows = np.zeros((len(timed), 3))
    for fold in range(FOLDS):
        others = np.flatnonzero(folds != fold)
        fitted = LatencyEstimator.fit(
            [graphs[i] for i in others], timed["latency_ms"].to_numpy(float)[others].tolist()
        )
        for i in np.flatnonzero(folds == fold):
            rows[i] = fitted.predict(graphs[i])
    return timed.assign(estimate=rows[:, 0], estimate_low=rows[:, 1], estimate_high=rows[:, 2])
