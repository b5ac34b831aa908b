"""The gate: what may become a trial, and what is settled before the first one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import yaml

from nas.budget import Budget
from nas.cost import cost
from nas.errors import InputError
from nas.feasible import check_budget, check_latency, hypervolume_reference, random_candidates
from nas.gate import FLUKES, Gate, excess_of
from nas.graph import Graph
from nas.latency import Latency
from nas.samplers import SpaceExhausted
from nas.space import Space
from nas.space_file import load_space, parse_space

EITHER = """
stem: {block: conv, width: 8, stride: 2}
stages: [{block: {choice: [conv, inverted_residual]}, stride: 2, width: 16, expansion: 3}]
head: {head: classifier}
"""  # 6.32 M MACs and 1,586 parameters, or 7.00 M and 1,322
FEW = """
stem: {block: conv, width: {choice: [8, 16]}}
stages: [{block: conv, stride: 2, width: {choice: [8, 16, 24]}}]
head: {head: classifier}
"""


def space_of(text: str) -> Space:
    return parse_space(yaml.safe_load(text), "x.yaml", name="x").bind(classes=10)


class Watch:
    """A stopwatch that counts its uses: a millisecond for every million MACs."""

    def __init__(self) -> None:
        self.uses = 0

    def __call__(self, graph: Graph) -> Latency:
        self.uses += 1
        ms = cost(graph).macs / 1e6
        return Latency(ms, ms, ms, ms, ms, 1.0, 20, ms, "none", 1, "none", False)


@pytest.fixture
def tiny() -> Space:
    return load_space("tiny").bind(classes=10)


@pytest.fixture
def make() -> Callable[..., Gate]:
    """A gate whose `rejected` holds what it told of."""

    def gate(space: Space, *budget: str, measure: Watch | None = None) -> Gate:
        rejected: list[tuple] = []
        made = Gate(space, Budget.parse(budget), measure, lambda *what: rejected.append(what))
        made.rejected = rejected
        return made

    return gate


def test_what_is_over_the_budget_or_was_seen_is_not_admitted(make, tiny):
    gate = make(tiny, "12M-flops")
    rng = random.Random(0)
    for params in (tiny.sample(rng) for _ in range(200)):
        candidate = tiny.candidate(params)
        assert gate.admits(params) is (candidate.cost.macs <= 12e6)
        gate.seen.add(candidate.id)
        assert not gate.admits(params)
    assert gate.rejected == []


def test_a_setting_that_nobody_reads_makes_no_new_architecture(make, tiny):
    gate = make(tiny)
    params = tiny.sample(random.Random(0)) | {"stages.0.block": "depthwise_separable"}
    gate.seen.add(tiny.candidate(params | {"stages.0.expansion": 2}).id)
    assert not gate.admits(params | {"stages.0.expansion": 4})


@pytest.mark.parametrize("name", ["tiny", "mobile"])
def test_mend_finds_a_setting_within_the_budget_from_anywhere(name, make):
    space = load_space(name).bind(classes=10)
    gate, rng = make(space, {"tiny": "5.5M-flops", "mobile": "12M-flops"}[name]), random.Random(0)
    for _ in range(10):
        mended = gate.mend(space.sample(rng), rng)
        candidate = space.candidate(mended)
        assert gate.admits(mended) and excess_of(gate.budget, candidate) <= 0
        gate.seen.add(candidate.id)


def test_mend_changes_little_of_what_is_only_seen(make, tiny):
    gate, rng = make(tiny), random.Random(0)
    params = tiny.sample(rng)
    gate.seen.add(tiny.candidate(params).id)
    mended = gate.mend(params, rng)
    assert sum(mended[path] != params[path] for path in params) <= 2


def test_every_architecture_of_a_small_space_is_found_once(make):
    space = space_of(FEW)
    gate, rng = make(space), random.Random(0)
    for _ in range(6):
        gate.seen.add(space.candidate(gate.mend(space.sample(rng), rng)).id)
    assert len(gate.seen) == 6
    with pytest.raises(SpaceExhausted, match="all architectures of x within the budget are done"):
        gate.mend(space.sample(rng), rng)


# Latency -----------------------------------------------------------------------------------------


def test_a_slow_proposal_is_rejected_once_and_never_timed_again(make, tiny):
    watch = Watch()
    gate = make(tiny, "9ms-latency", "20M-flops", measure=watch)
    rng = random.Random(0)
    sample = [tiny.candidate(tiny.sample(rng)) for _ in range(40)]
    sample = [candidate for candidate in sample if candidate.cost.macs <= 20e6]
    for candidate in sample * 2:
        assert gate.admits(candidate.params) is (candidate.cost.macs <= 9e6)
    timed = [latency for _, _, latency in gate.rejected if latency.source == "measured"]
    admitted = {candidate.id for candidate in sample if candidate.cost.macs <= 9e6}
    # What is surely over the limit, as the first timings tell, is not even timed.
    assert watch.uses == len(timed) + len(admitted) < len({c.id for c in sample})
    assert len(gate.rejected) == len({c.id for c, *_ in gate.rejected})
    for candidate, reason, latency in gate.rejected:
        assert reason == "over the latency budget"
        assert 9e6 < candidate.cost.macs <= 20e6
        assert latency.low > 9 or latency.latency_ms == candidate.cost.macs / 1e6


def test_what_is_over_a_counted_limit_is_not_timed(make, tiny):
    watch = Watch()
    gate = make(tiny, "1ms-latency", "1-flops", measure=watch)
    assert not gate.admits(tiny.sample(random.Random(0)))
    assert watch.uses == 0


def test_a_latency_budget_that_hardly_anything_meets_ends_the_search(make, tiny):
    gate = make(tiny, "1ms-latency", measure=Watch())
    with pytest.raises(SpaceExhausted, match=f"the last {FLUKES} proposals were over the latency"):
        gate.mend(tiny.sample(random.Random(0)), random.Random(0))
    assert len(gate.rejected) == FLUKES


# A block that raises -----------------------------------------------------------------------------


def test_a_reason_is_told_once(make, tiny, monkeypatch):
    def candidate(self, params):
        raise ArithmeticError(params["stem.width"])

    monkeypatch.setattr(Space, "candidate", candidate)
    gate, rng = make(tiny), random.Random(0)
    assert not any(gate.admits(tiny.sample(rng)) for _ in range(20))
    assert {reason for _, reason, _ in gate.rejected} == {
        "ArithmeticError: 8",
        "ArithmeticError: 16",
    }
    assert len(gate.rejected) == 2
    with pytest.raises(InputError, match="none of 100 architectures can be built: ArithmeticErr"):
        check_budget(tiny, Budget())


# Before the first trial --------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [(), ("6.5M-flops",), ("1400-params",), ("1us-latency",)])
def test_a_budget_that_can_be_met_passes(budget):
    check_budget(space_of(EITHER), Budget.parse(budget))


def test_limits_that_conflict_are_named_together():
    with pytest.raises(InputError) as error:
        check_budget(space_of(EITHER), Budget.parse(["6.5M-flops", "1400-params"]))
    assert str(error.value) == (
        "budget 6.5 M macs, 1.4 k params: space x can meet each limit but not all at once; "
        "the nearest architecture found has 7 M macs, 1.322 k params"
    )


def test_a_budget_is_met_where_chance_does_not_find_it(tiny):
    smallest = tiny.minimise(lambda candidate: candidate.cost.macs).cost.macs
    check_budget(tiny, Budget.parse(f"{smallest}-flops"))
    with pytest.raises(InputError, match=r"the smallest macs found is 4\.019 M"):
        check_budget(tiny, Budget.parse(f"{smallest - 1}-flops"))


def test_a_latency_limit_is_checked_with_the_counted_ones(make):
    space = space_of(EITHER)
    check_latency(make(space, "7.1ms-latency", "1400-params", measure=Watch()))
    with pytest.raises(InputError, match="the smallest networks found take 7 ms or more"):
        check_latency(make(space, "6.9ms-latency", "1400-params", measure=Watch()))


def test_the_reference_is_the_limit_or_the_largest_of_a_sample(make, tiny):
    gate = make(tiny, "20M-flops", measure=Watch())
    found = hypervolume_reference(gate, ("accuracy", "macs", "params", "latency"), 0.1, seed=0)
    within = [c for c in random_candidates(tiny, 200, 0) if c.cost.macs <= 20e6]
    assert found["accuracy"] == 0.1
    assert found["macs"] == 20e6
    assert found["params"] == max(c.cost.params for c in within)
    assert found["latency"] in [c.cost.macs / 1e6 for c in within]
