"""Samplers behind the gate: no proposal over the budget, none twice, no trial spent on either."""

from __future__ import annotations

import random

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from nas.budget import Budget
from nas.errors import InputError
from nas.gate import Gate
from nas.samplers import SAMPLERS, GatedSampler, SpaceExhausted, make_sampler
from nas.samplers.gated import DRAWS
from nas.space_file import load_space

TIGHT = {  # about one random proposal in fifty
    "tiny": ("6.5M-flops", "12k-params"),
    "mobile": ("15M-flops", "300k-params"),
}


def nothing(*_):
    """Told of rejections, of which there are none here."""
    raise AssertionError("nothing may be rejected")


@pytest.mark.parametrize("space", TIGHT)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_300_proposals_within_a_tight_budget(space, sampler):
    budget, rng = Budget.parse(TIGHT[space]), random.Random(0)
    found = load_space(space).bind(classes=10)
    gate = Gate(found, budget, None, nothing)
    distributions = found.distributions()
    gated = GatedSampler(make_sampler(sampler, 0, 300), distributions, gate.admits, gate.mend, 0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=gated)
    for number in range(300):
        trial = study.ask(distributions)
        candidate = found.candidate(trial.params)
        assert trial.number == number
        assert candidate.cost.macs <= budget["macs"] and candidate.cost.params <= budget["params"]
        assert candidate.id not in gate.seen
        gate.seen.add(candidate.id)
        if number % 10 == 7:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, [rng.random(), candidate.cost.macs])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_gate_that_admits_all_leaves_a_sampler_as_it_is(sampler):
    distributions = {f"x{i}": CategoricalDistribution(("good", "bad")) for i in range(9)}
    found = []
    for gate in (lambda inner: GatedSampler(inner, distributions, bool, nothing, 0), lambda s: s):
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=gate(make_sampler(sampler, 0, 40))
        )
        for _ in range(40):
            trial = study.ask(distributions)
            good = sum(value == "good" for value in trial.params.values())
            study.tell(trial, [good, trial.number % 3])
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_what_is_never_admitted_is_mended_after_some_draws():
    distributions = {"x": CategoricalDistribution(tuple(range(100)))}
    drawn = []

    def admits(params):
        drawn.append(params["x"])
        return False

    def mend(params, rng):
        assert params["x"] == drawn[-1]
        return {"x": 7}

    gated = GatedSampler(make_sampler("random", 0, 10), distributions, admits, mend, 0)
    study = optuna.create_study(sampler=gated)
    assert study.ask(distributions).params == {"x": 7}
    assert len(drawn) == DRAWS and len(study.trials) == 1


def test_exhaustion_reaches_the_one_who_asks():
    def mend(params, rng):
        raise SpaceExhausted("no more")

    distributions = {"x": CategoricalDistribution((1, 2))}
    gated = GatedSampler(make_sampler("nsga2", 0, 10), distributions, lambda params: False, mend, 0)
    with pytest.raises(SpaceExhausted, match="no more"):
        optuna.create_study(sampler=gated).ask(distributions)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(InputError, match="--sampler 'nsga': no such sampler; did you mean nsga2"):
        make_sampler("nsga", 0, 10)
