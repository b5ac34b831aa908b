"""A table of one space, from a few networks that are timed before workers train.

While workers train nothing can be timed, so a search in parallel lives on estimates, and measures
its front when they are done. A table of the whole device, which `nas latency build` makes in an
hour, is the better one; this one takes a minute or two and knows the space alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.arch import trace
from nas.errors import ClusterError, InputError
from nas.feasible import random_candidates
from nas.gate import Gate, excess_of
from nas.graph import Graph
from nas.latency import DeviceTable, LatencyEstimator
from nas.latency.build import versions
from nas.latency.device import Device
from nas.latency.estimator import FEWEST
from nas.records import Trial
from nas.space import Candidate

NETWORKS = 24  # that are timed, or as many as there are trials
DRAWS = 400  # random points of the space among which they are sought


def space_table(
    gate: Gate, trials: Sequence[Trial], device: Device, reference_ms: float, seed: int, count: int
) -> DeviceTable:
    """Fit to the trials that were timed, and to others up to `count`, which are timed now.

    Those within the counted limits of the budget come first. Raises InputError where too few can
    be timed.
    """
    known = {
        t.id: _timed(t) for t in trials if t.latency and t.latency.get("source") != "estimated"
    }
    for candidate in _random(gate, seed):
        if len(known) >= max(FEWEST, min(count, NETWORKS)):
            break
        try:
            known[candidate.id] = candidate.graph, gate.latency(candidate).latency_ms
        except ClusterError:
            raise
        except Exception:
            continue
    if len(known) < FEWEST:
        raise InputError(
            f"space {gate.space.name}: expected {FEWEST} networks that can be timed, to estimate "
            f"others while workers train, got {len(known)}; search in series, or with "
            "--latency-table"
        )
    graphs, ms = zip(*known.values(), strict=True)
    return DeviceTable(device, reference_ms, versions(), LatencyEstimator.fit(graphs, ms))


def _timed(trial: Trial) -> tuple[Graph, float]:
    return trace(trial.architecture), (trial.latency or {})["latency_ms"]


def _random(gate: Gate, seed: int) -> list[Candidate]:
    """Random points of the space, those within the budget first."""
    drawn = random_candidates(gate.space, DRAWS, seed)
    return sorted(drawn, key=lambda candidate: excess_of(gate.budget, candidate) > 0)
