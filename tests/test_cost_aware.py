"""CostAwareSampler: what it guarantees in any study, and that it needs few trials."""

from __future__ import annotations

import logging
import math
import os
import re
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import moocore
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from nas.errors import InputError
from nas.samplers import CostAwareSampler, SpaceExhausted
from nas.samplers.acquisition import expected_gain, front_of, reference_of
from nas.samplers.encoding import Grid
from nas.samplers.surrogate import (
    GaussianProcess,
    Warp,
    _loss,
    _prior,
    fit,
    squared_distances,
    start,
)
from nas.table import read_table
from nas.table_search import COST_AWARE, run, sampler_of

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = {
    "block": CategoricalDistribution(("plain", "ghost", "fire")),
    "width": CategoricalDistribution((16, 24, 32)),
    "depth": IntDistribution(1, 4),
    "kernel": IntDistribution(3, 7, step=2),
}  # 108 settings
POINTS = [*map(Grid.of(SPACE).params, Grid.of(SPACE).all())]
BOTH = ["maximize", "minimize"]
BLOCKS = {"plain": 3.0, "ghost": 1.0, "fire": 2.0}
DATA = Path(os.environ.get("NAS_TEST_DATA", "")) / "nas_bench_macro.csv"


def macs(params):
    return params["depth"] * params["width"] ** 2 * BLOCKS[params["block"]] + params["kernel"]


def accuracy(params):
    best = 3 * math.log(params["depth"] * params["width"]) + BLOCKS[params["block"]]
    return 1 - math.exp(-(best + 0.3 * params["kernel"]) / 10)


def study_of(sampler, directions=BOTH):
    return optuna.create_study(directions=directions, sampler=sampler)


def ask_and_tell(study, count, told=lambda p: [accuracy(p), macs(p)], space=SPACE):
    """The params of so many trials."""
    found = []
    for _ in range(count):
        trial = study.ask(dict(space))
        study.tell(trial, told(trial.params))
        found.append(trial.params)
    return found


def distinct(found):
    return len({tuple(sorted(params.items())) for params in found})


# Guarantees --------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@pytest.mark.filterwarnings("ignore:The value nan is not acceptable")
@given(
    seed=st.integers(0, 99),
    limit=st.integers(2000, 9000),
    fates=st.lists(st.sampled_from(["complete", "fail", "prune", "run", "nan"]), max_size=25),
)
def test_whatever_becomes_of_trials_proposals_are_feasible_and_new(seed, limit, fates):
    sampler = CostAwareSampler({1: macs}, lambda p: macs(p) <= limit, seed=seed)
    study, found = study_of(sampler), []
    for fate in fates:
        trial = study.ask(dict(SPACE))
        found.append(trial.params)
        if fate == "complete":
            study.tell(trial, [accuracy(trial.params), macs(trial.params)])
        elif fate in ("fail", "prune"):
            study.tell(trial, state=TrialState.FAIL if fate == "fail" else TrialState.PRUNED)
        elif fate == "nan":
            study.tell(trial, [math.nan, 1.0])  # Optuna makes it a failed one
    assert distinct(found) == len(fates)
    assert all(macs(params) <= limit for params in found)


@pytest.mark.parametrize("given_space", [True, False], ids=["space given", "by ask"])
def test_an_exhausted_space_ends_after_every_feasible_setting(given_space):
    allowed = [params for params in POINTS if macs(params) < 1500]
    space = SPACE if given_space else None
    sampler = CostAwareSampler({1: macs}, lambda p: macs(p) < 1500, search_space=space, seed=0)
    study = study_of(sampler)
    assert distinct(ask_and_tell(study, len(allowed))) == len(allowed)
    with pytest.raises(SpaceExhausted, match="none of the 108 params"):
        study.ask(dict(SPACE))


def test_an_exhausted_space_ends_while_trials_run():
    study = study_of(CostAwareSampler({1: macs}, search_space=SPACE, seed=0))
    found = [study.ask(dict(SPACE)).params for _ in range(108)]
    assert distinct(found) == 108
    with pytest.raises(SpaceExhausted):
        study.ask(dict(SPACE))


def test_define_by_run_guarantees_from_the_second_trial():
    def objective(trial):
        params = {
            "block": trial.suggest_categorical("block", ("plain", "ghost", "fire")),
            "width": trial.suggest_categorical("width", (16, 24, 32)),
            "depth": trial.suggest_int("depth", 1, 4),
            "kernel": trial.suggest_int("kernel", 3, 7, step=2),
        }
        if trial.number % 5 == 0:
            raise optuna.TrialPruned
        return accuracy(params), macs(params)

    study = study_of(CostAwareSampler({1: macs}, lambda p: macs(p) < 3000, seed=3))
    study.optimize(objective, n_trials=30)
    found = [trial.params for trial in study.trials]
    assert distinct(found) == 30
    assert all(macs(params) < 3000 for params in found[1:])


def test_trials_that_end_before_all_their_params_are_told_cost_no_guarantee():
    def objective(trial):
        params = {"block": trial.suggest_categorical("block", ("plain", "ghost", "fire"))}
        if trial.number % 3 == 1:
            raise optuna.TrialPruned
        params |= {"width": trial.suggest_categorical("width", (16, 24, 32))}
        params |= {"depth": trial.suggest_int("depth", 1, 4)}
        return accuracy({**params, "kernel": 3}), macs({**params, "kernel": 3})

    def known(params):
        return macs({**params, "kernel": 3})

    study = study_of(CostAwareSampler({1: known}, lambda p: known(p) < 3000, seed=0))
    study.optimize(objective, n_trials=25)
    found = [trial.params for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert distinct(found) == len(found)
    assert all(known(params) < 3000 for params in found[1:])


def test_a_study_of_threads_repeats_nothing():
    waiting = threading.Barrier(4, timeout=60)

    def objective(trial):
        params = {name: trial._suggest(name, d) for name, d in SPACE.items()}
        if trial.number < 4:
            waiting.wait()  # all four are asked for before one is told
        return accuracy(params), macs(params)

    study = study_of(CostAwareSampler({1: macs}, search_space=SPACE, seed=0))
    study.optimize(objective, n_trials=40, n_jobs=4)
    assert distinct([trial.params for trial in study.trials]) == 40


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)], ids=str)
def test_any_direction_finds_the_same_front(signs):
    """Values and known costs in the study's own sign; losses are the same."""
    up, down = ["minimize", "maximize"], ["maximize", "minimize"]
    directions = [down[signs[0] < 0], up[signs[1] < 0]]

    def told(params):
        return [signs[0] * accuracy(params), signs[1] * macs(params)]

    study = study_of(CostAwareSampler({1: lambda p: told(p)[1]}, seed=0), directions)
    found = ask_and_tell(study, 30, told)
    plain = ask_and_tell(study_of(CostAwareSampler({1: macs}, seed=0)), 30)
    assert found == plain
    assert share([accuracy(p) for p in found], [macs(p) for p in found]) > 0.98


def test_enqueued_trials_run_as_they_are_and_are_not_proposed_again():
    study = study_of(CostAwareSampler({1: macs}, search_space=SPACE, seed=0))
    whole = {"block": "plain", "width": 32, "depth": 4, "kernel": 7}
    study.enqueue_trial({"block": "fire", "depth": 2})
    study.enqueue_trial(whole)
    found = ask_and_tell(study, 107)
    assert (found[0]["block"], found[0]["depth"]) == ("fire", 2)
    assert found[1] == whole
    study.enqueue_trial(next(params for params in POINTS if params not in found))
    assert distinct([*found, *ask_and_tell(study, 1)]) == 108


def test_a_waiting_trial_is_not_proposed_to_another():
    space = {"a": IntDistribution(0, 1)}
    study = study_of(CostAwareSampler({1: lambda p: p["a"]}, search_space=space, seed=0))
    sampler, trial = study.sampler, study.ask()
    study.enqueue_trial({"a": 1})
    frozen = study.get_trials(deepcopy=False)[trial.number]
    assert sampler.sample_relative(study, frozen, space) == {"a": 0}


def test_added_trials_inform_and_are_not_repeated():
    study = study_of(CostAwareSampler({1: macs}, seed=0))
    for params in POINTS[:100]:
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=SPACE, values=[accuracy(params), macs(params)]
            )
        )
    study.add_trial(
        optuna.create_trial(
            params={"block": "other"},
            distributions={"block": CategoricalDistribution(("other", "plain"))},
            values=[0.5, 1.0],
        )
    )
    assert distinct([*POINTS[:100], *ask_and_tell(study, 8)]) == 108


def test_conditional_parameters_are_drawn_independently_and_said_once(caplog):
    def objective(trial):
        params = {"block": trial.suggest_categorical("block", ("plain", "ghost"))}
        params["depth"] = trial.suggest_int("depth", 1, 3)
        if params["block"] == "ghost":
            params["ratio"] = trial.suggest_int("ratio", 2, 4)
        return params["depth"] + params.get("ratio", 0) / 10, params["depth"]

    study = study_of(CostAwareSampler({1: lambda p: p["depth"]}, seed=0))
    with caplog.at_level(logging.WARNING):
        study.optimize(objective, n_trials=25)
    assert len(study.trials) == 25
    assert [r.getMessage() for r in caplog.records if "ratio" in r.getMessage()] == [
        "ratio: conditional or continuous, so it is drawn independently of the model"
    ]


def test_known_that_needs_a_conditional_parameter_does_not_end_the_study():
    def objective(trial):
        params = {"block": trial.suggest_categorical("block", ("plain", "ghost"))}
        if params["block"] == "ghost":
            trial.suggest_int("ratio", 2, 4)
        return 0.5, float(len(params))

    study = study_of(CostAwareSampler({1: lambda p: p["ratio"]}, seed=0))
    study.optimize(objective, n_trials=12)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_equal_keys_are_one_architecture():
    def key(params):
        return params["depth"], params["width"]

    study = study_of(CostAwareSampler({1: macs}, key=key, seed=0))
    assert len(set(map(key, ask_and_tell(study, 12)))) == 12
    with pytest.raises(SpaceExhausted):
        study.ask(dict(SPACE))


def test_features_stand_for_the_params():
    def features(params):
        return [math.log(params["depth"]), params["width"], BLOCKS[params["block"]]]

    study = study_of(CostAwareSampler({1: macs}, features=features, seed=0))
    found = ask_and_tell(study, 30)
    assert share([accuracy(p) for p in found], [macs(p) for p in found]) > 0.98


def test_of_a_list_only_its_params_are_proposed():
    listed = POINTS[5::11]
    study = study_of(CostAwareSampler({1: macs}, listed=listed, seed=0))
    found = ask_and_tell(study, len(listed))
    assert distinct(found) == len(listed) and all(params in listed for params in found)
    with pytest.raises(SpaceExhausted, match=f"none of the {len(listed)} params"):
        study.ask(dict(SPACE))


def test_what_may_be_proposed_can_change():
    limit = [6000]
    study = study_of(CostAwareSampler({1: macs}, lambda p: macs(p) <= limit[0], seed=0))
    ask_and_tell(study, 10)
    limit[0] = 1000
    assert all(macs(params) <= 1000 for params in ask_and_tell(study, 5))


def test_a_seed_makes_a_study_reproducible():
    one, two = (ask_and_tell(study_of(CostAwareSampler({1: macs}, seed=5)), 20) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("known", [{}, {1: macs}, {0: accuracy, 1: macs}], ids=len)
def test_any_number_of_objectives_may_be_known(known):
    study = study_of(CostAwareSampler(known, seed=0))
    found = ask_and_tell(study, 35)
    assert share([accuracy(p) for p in found], [macs(p) for p in found]) > 0.95


def test_three_objectives():
    def told(params):
        return [accuracy(params), macs(params), -params["kernel"]]

    sampler = CostAwareSampler({1: macs, 2: lambda p: -p["kernel"]}, seed=0)
    study = study_of(sampler, ["maximize", "minimize", "minimize"])
    assert distinct(ask_and_tell(study, 40, told)) == 40


def test_the_example_of_the_docs_runs(capsys):
    text = (Path(__file__).parent.parent / "docs" / "search.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0], {})
    assert int(capsys.readouterr().out) > 3


def test_it_imports_no_torch():
    code = "import sys, nas.samplers; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "raises"], ids=str)
def test_params_of_which_known_cannot_tell_are_not_proposed_and_said_once(bad, caplog):
    def known(params):
        if params["block"] != "fire":
            return macs(params)
        if bad == "raises":
            raise ZeroDivisionError("no such block")
        return bad

    study = study_of(CostAwareSampler({1: known}, seed=0))
    with caplog.at_level(logging.WARNING):
        found = ask_and_tell(study, 72)
    assert all(params["block"] != "fire" for params in found)
    assert len(caplog.records) == 1
    assert "known[1]" in caplog.text and "'block': 'fire'" in caplog.text
    with pytest.raises(SpaceExhausted, match=r"known\[1\]"):
        study.ask(dict(SPACE))


def test_an_accuracy_that_is_not_finite_is_not_learnt_from():
    study = study_of(CostAwareSampler({1: macs}, search_space=SPACE, seed=0))
    lost = Grid.of(SPACE).params((0, 0, 0, 0))
    study.add_trial(
        optuna.create_trial(params=lost, distributions=SPACE, values=[math.inf, macs(lost)])
    )
    assert lost not in ask_and_tell(study, 30)


@pytest.mark.parametrize("constant", [0.0, 1.0, -3.0], ids=str)
def test_equal_values_break_nothing(constant):
    study = study_of(CostAwareSampler({1: lambda p: constant}, seed=0))
    assert distinct(ask_and_tell(study, 20, lambda p: [constant, constant])) == 20


def test_huge_values_break_nothing():
    study = study_of(CostAwareSampler({1: macs}, seed=0))
    found = ask_and_tell(study, 30, lambda p: [10.0 ** (50 * accuracy(p)), macs(p)])
    assert distinct(found) == 30


@pytest.mark.parametrize(
    ("known", "directions", "message"),
    [
        ({1: macs}, ["maximize"], "two or more objectives, got one"),
        ({2: macs}, BOTH, "from 0 to 1, got 2"),
        ({-1: macs}, BOTH, "from 0 to 1, got -1"),
    ],
    ids=["one objective", "no such objective", "negative"],
)
def test_a_study_whose_objectives_do_not_fit_is_refused(known, directions, message):
    with pytest.raises(InputError, match=message):
        study_of(CostAwareSampler(known), directions).ask(dict(SPACE))


def test_a_continuous_parameter_of_the_space_is_refused():
    with pytest.raises(InputError, match="rate: expected a categorical or integer"):
        CostAwareSampler({}, search_space={"rate": FloatDistribution(0, 1)})


def test_a_space_of_one_architecture_is_asked_once():
    space = {"a": IntDistribution(1, 1)}
    study = study_of(CostAwareSampler({1: lambda p: 1.0}, search_space=space, seed=0))
    ask_and_tell(study, 1, lambda p: [1.0, 1.0], space)
    with pytest.raises(SpaceExhausted, match="none of the 1 params"):
        study.ask(space)


# Parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 6, 20])
def test_gain_is_the_difference_of_hypervolumes(objectives, size):
    rng = np.random.default_rng(size)
    front = front_of(rng.integers(0, 8, (size, objectives)).astype(float))
    reference = reference_of(front)
    candidates = rng.integers(-2, 10, (30, objectives)).astype(float)
    before = moocore.hypervolume(front, ref=reference)
    after = [moocore.hypervolume(np.vstack([front, c]), ref=reference) for c in candidates]
    gain = expected_gain(candidates[None], np.ones(1), front, reference)
    np.testing.assert_allclose(gain, np.array(after) - before, atol=1e-9)


def test_the_gradient_of_the_likelihood_is_right():
    rng = np.random.default_rng(0)
    rows = rng.random((12, 3))
    squares = np.stack([squared_distances(own, own) for own in (rows[:, :2], rows[:, 2:])]).reshape(
        2, -1
    )
    theta, values = np.array([0.1, -0.4, 0.3, -2.0]), rng.normal(size=12)

    def loss(at):
        return _loss(at, squares, values, _prior(2))[0]

    numeric = [(loss(theta + d) - loss(theta - d)) / 2e-6 for d in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(_loss(theta, squares, values, _prior(2))[1], numeric, rtol=1e-4)


def test_a_gaussian_process_predicts_what_it_has_not_seen():
    rows = np.random.default_rng(0).random((60, 2))
    groups, values = np.array([0, 1]), np.sin(3 * rows[:, 0])
    theta = fit(start(groups), groups, rows[:40], values[:40])
    process = GaussianProcess.condition(theta, groups, rows[:40], values[:40])
    mean, deviation = process.predict(rows[40:])
    assert np.abs(mean - values[40:]).max() < 0.05
    assert theta[1] > theta[0]  # the second column says nothing
    assert (deviation < 0.1).all()


@pytest.mark.parametrize("shape", ["normal", "long tail", "constant", "outlier"])
def test_a_warp_is_undone_by_its_inverse(shape):
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(5, 2, 50),
        "long tail": rng.exponential(3, 50) ** 2,
        "constant": np.full(50, 7.0),
        "outlier": np.append(rng.normal(size=49), 1e6),
    }[shape]
    warp = Warp.fit(values)
    np.testing.assert_allclose(warp.inverse(warp(values)), values, rtol=1e-6, atol=1e-6)
    assert np.isfinite(warp.inverse(np.array([-30.0, 30.0]))).all()


# Quality -----------------------------------------------------------------------------------------


def share(accuracies, costs):
    """Of the hypervolume of the space of 108."""
    whole = np.array([[-accuracy(p), macs(p)] for p in POINTS])
    found = np.array([[-a, c] for a, c in zip(accuracies, costs, strict=True)])
    reference = reference_of(front_of(whole))
    return moocore.hypervolume(found, ref=reference) / moocore.hypervolume(whole, ref=reference)


def test_what_is_dearer_than_all_trials_so_far_may_gain():
    study = study_of(CostAwareSampler({1: macs}, seed=0))
    for params in (cheap := sorted(POINTS, key=macs)[:12]):
        values = [accuracy(params), macs(params)]
        study.add_trial(optuna.create_trial(params=params, distributions=SPACE, values=values))
    assert max(map(macs, ask_and_tell(study, 3))) > 2 * max(map(macs, cheap))


def test_it_needs_far_fewer_trials_than_random_search():
    def median(sampler):
        shares = []
        for seed in range(5):
            found = ask_and_tell(study_of(sampler(seed)), 20)
            shares.append(share([accuracy(p) for p in found], [macs(p) for p in found]))
        return statistics.median(shares)

    aware = median(lambda seed: CostAwareSampler({1: macs}, seed=seed))
    assert aware > 0.98
    assert 1 - aware < 0.3 * (1 - median(lambda seed: optuna.samplers.RandomSampler(seed=seed)))


@pytest.mark.skipif(not DATA.is_file(), reason="NAS_TEST_DATA has no nas_bench_macro.csv")
@pytest.mark.parametrize("costs", [("macs",), ("macs", "params")], ids=" ".join)
def test_nas_bench_macro_in_fifty_trials(costs):
    table = read_table(DATA, ["arch:chars"], "mean_acc", costs)
    shares = [
        list(run(table, "", sampler_of(table, COST_AWARE, seed, 50), seed, 50))[-1].hypervolume
        for seed in range(3)
    ]
    assert statistics.median(shares) > 0.98
