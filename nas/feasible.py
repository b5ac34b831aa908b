"""What is settled before the first trial: that the budget can be met; the hypervolume reference."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence

from nas.budget import Budget
from nas.errors import InputError
from nas.gate import Gate, excess_of, reason_of
from nas.metrics import METRICS
from nas.space import Candidate, Space

SAMPLE = 200  # architectures that the largest cost is taken from


def check_budget(space: Space, budget: Budget, seed: int = 0) -> None:
    """Raise InputError where no architecture meets the counted limits, with the smallest found.

    Limits that each can be met, but not together, are named together.
    """
    rng = random.Random(seed)
    failures: list[Exception] = []
    for _ in range(100):
        try:
            if excess_of(budget, space.candidate(space.sample(rng))) <= 0:
                return
        except Exception as error:  # a user's block may raise anything
            failures.append(error)
    if len(failures) == 100:
        raise InputError(
            f"space {space.name}: none of 100 architectures can be built: {reason_of(failures[0])}"
        )
    nearest = space.minimise(lambda candidate: excess_of(budget, candidate), seed=seed)
    if excess_of(budget, nearest) > 0:
        raise InputError(_unmet(space, budget, nearest, seed))


def _unmet(space: Space, budget: Budget, nearest: Candidate, seed: int) -> str:
    counted = [(name, limit) for name, limit in budget.limits if name != "latency"]
    limits, found = [], []
    for name, limit in counted:
        smallest = getattr(space.minimise(cost_of(name), seed=seed).cost, name)
        if smallest > limit:
            show = METRICS[name].format
            limits.append(f"{show(limit)} {name}")
            found.append(f"the smallest {name} found is {show(smallest)}")
    if limits:
        return f"budget {', '.join(limits)}: space {space.name} cannot meet it, {', '.join(found)}"
    counts = (f"{METRICS[n].format(getattr(nearest.cost, n))} {n}" for n, _ in counted)
    return (
        f"budget {budget}: space {space.name} can meet each limit but not all at once; "
        f"the nearest architecture found has {', '.join(counts)}"
    )


def cost_of(name: str) -> Callable[[Candidate], float]:
    """The function that reads a counted metric of a candidate."""
    return lambda candidate: float(getattr(candidate.cost, name))


def check_latency(gate: Gate) -> None:
    """Raise InputError where the smallest networks found are over the latency budget."""
    space, limit = gate.space, gate.budget["latency"]
    found = []
    for name in ("macs", "traffic", "activations"):

        def score(candidate: Candidate, name: str = name) -> float:
            over = max(excess_of(gate.budget, candidate), 0.0)
            return float(getattr(candidate.cost, name)) * (1 + 1e6 * over)

        found.append(gate.latency(space.minimise(score)).latency_ms)
        if found[-1] <= limit:
            return
    format = METRICS["latency"].format
    raise InputError(
        f"budget {format(limit)} latency: space {space.name} cannot meet it on {_device(gate)}, "
        f"the smallest networks found take {format(min(found))} or more"
    )


def _device(gate: Gate) -> str:
    return str(gate.table.device) if gate.table else "this machine"


def hypervolume_reference(
    gate: Gate, objectives: Sequence[str], worst: float, seed: int
) -> dict[str, float]:
    """The `worst` score, and each cost's limit or the largest of a sample within the budget."""
    sample = random_candidates(gate.space, SAMPLE, seed)
    allowed = [c for c in sample if excess_of(gate.budget, c) <= 0] or sample
    largest = max(allowed, key=lambda c: c.cost.macs + c.cost.traffic)
    found = {"accuracy": worst}
    for name in objectives:
        if name in gate.budget:
            found[name] = gate.budget[name]
        elif name == "latency":
            found[name] = gate.latency(largest).latency_ms
        elif name != "accuracy":
            found[name] = float(max(getattr(c.cost, name) for c in allowed))
    return found


def random_candidates(space: Space, count: int, seed: int) -> list[Candidate]:
    """So many random points of the space, without those whose blocks raise."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        with contextlib.suppress(Exception):  # a user's block may raise anything
            found.append(space.candidate(space.sample(rng)))
    return found
