"""Intervals and chances against what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from test_run import trial

from nas.budget import Budget
from nas.certainty import (
    DRAWS,
    RULES,
    Draws,
    draw,
    effective_images,
    fronts,
    interval,
    merge_repeats,
    point,
    seed_variance,
    with_intervals,
)
from nas.pareto import non_dominated
from nas.run import frame

FREE = Budget()
HALF = 0.5 / np.sqrt(DRAWS)  # the largest standard error of a share of the draws


def table(*trials) -> pd.DataFrame:
    return with_intervals(frame(list(trials)))


def timed(one, ms: float, share: float):
    """A trial with a latency whose 95 % interval is a factor of 1 + share to either side."""
    latency = {"latency_ms": ms, "low": ms / (1 + share), "high": ms * (1 + share)}
    return replace(one, latency=latency)


# Accuracies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", [3, 15, 29])
def test_intervals_hold_95_percent_of_likelihood_times_jeffreys_prior(right, images=30):
    def density(p):
        return p ** (right - 0.5) * (1 - p) ** (images - right - 0.5)

    (low,), (high,) = interval(np.array([right / images]), np.array([images]))
    parts = [quad(density, *ends)[0] for ends in ((0, low), (low, high), (high, 1))]
    assert parts / np.sum(parts) == pytest.approx([0.025, 0.95, 0.025], abs=1e-6)


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_intervals_cover(accuracy):
    counted = np.random.default_rng(0).binomial(500, accuracy, 4000) / 500
    low, high = interval(counted, np.full(4000, 500.0))
    assert np.mean((low <= accuracy) & (accuracy <= high)) == pytest.approx(0.95, abs=0.012)


def test_images_are_worth_less_where_seeds_differ():
    accuracy, images = np.array([0.8, 0.8, 1.0]), np.full(3, 100.0)
    error = np.array([0.04, 0.04, 0.0])
    once = effective_images(accuracy, error, images, np.ones(3), 0.0)
    assert once == pytest.approx(images)
    noisy = effective_images(accuracy, error, images, np.array([1, 4, 1]), 0.0016)
    assert noisy[:2] == pytest.approx([0.16 / (0.0016 + 0.0016), 0.16 / (0.0016 + 0.0004)])
    assert 0 < noisy[2] < 100


def test_the_variance_of_seeds_is_pooled():
    accuracies = pd.Series([0.5, 0.7, 0.9, 0.9, 0.3])
    networks = pd.Series(["a", "a", "b", "b", "c"])
    assert seed_variance(accuracies, networks) == pytest.approx(0.02 / 2)
    assert seed_variance(accuracies[4:], networks[4:]) == 0


def test_repeats_are_one_network_of_their_mean():
    one, other = trial(0, 0.6, 10, images=100), trial(1, 0.9, 30, images=100)
    again = replace(trial(2, 0.8, 10, images=100), id=one.id, seed=1)
    taken = replace(other, number=3, source="old:1")  # the same training, not a second one
    found = merge_repeats(frame([one, other, again, taken]))
    assert list(found["number"]) == [0, 1]
    assert list(found["accuracy"]) == pytest.approx([0.7, 0.9])
    assert list(found["repeats"]) == [2, 1]
    assert (found["images"] < 100).all()  # the seeds' noise is everybody's
    assert (found["accuracy_low"] < found["accuracy"]).all()


# Fronts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [3, 1000], ids=["ties", "distinct"])
def test_fronts_are_those_of_one_draw_at_a_time(levels):
    rng = np.random.default_rng(1)
    cost, accuracy = rng.integers(levels, size=(2, 50, 12)) / levels
    mask = fronts(cost, accuracy)
    for row in range(50):
        expected = non_dominated(np.c_[accuracy[row], cost[row]], [True, False])
        assert list(mask[row]) == list(expected)


def test_a_network_that_is_ahead_by_one_error_is_on_the_front_as_often_as_a_normal_says():
    trials = trial(0, 0.5, 10, images=10_000), trial(1, 0.5 + 0.01, 20, images=10_000)
    drawn = draw(table(*trials), FREE, "macs")
    ahead = norm.cdf(0.01 / (0.005 * np.sqrt(2)))
    assert drawn.on_front[0] == 1
    assert drawn.on_front[1] == pytest.approx(ahead, abs=4 * HALF)


def test_what_is_surely_dominated_is_never_on_the_front():
    drawn = draw(table(trial(0, 0.9, 10), trial(1, 0.5, 20)), FREE, "macs")
    assert list(drawn.on_front) == [1, 0]


def test_latencies_are_as_uncertain_as_their_intervals():
    slower = timed(trial(1, 0.5, 1), 11.0, 0.1)
    drawn = draw(table(timed(trial(0, 0.9, 1), 10.0, 0.1), slower), FREE, "latency")
    spread = np.log(1.1) / 1.96
    ahead = norm.cdf(-np.log(1.1) / (spread * np.sqrt(2)))
    assert drawn.on_front[1] == pytest.approx(ahead, abs=4 * HALF)
    assert np.log(drawn.cost[:, 0]).std() == pytest.approx(spread, rel=0.05)


def test_a_network_near_a_latency_limit_is_within_it_half_of_the_time():
    known = table(timed(trial(0, 0.9, 1), 10.0, 0.1), timed(trial(1, 0.5, 1), 5.0, 0.1))
    drawn = draw(known, Budget.parse("10ms-latency"), "latency")
    assert drawn.on_front == pytest.approx([0.5, 1], abs=4 * HALF)
    assert draw(known, Budget.parse("2ms-latency"), "latency").on_front.sum() == 0


def test_draws_follow_the_seed():
    known = table(trial(0, 0.5, 10), trial(1, 0.51, 20))
    first, again, other = (draw(known, FREE, "macs", seed=s).accuracy for s in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


# Rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "number"), [("fastest", 0), ("knee", 1), ("best", 3)])
def test_rules_on_a_front_by_hand(rule, number):
    """Heights above the chord: 0.8 - 0.2 and 0.9 - 0.6; trial 4 is on no front."""
    macs = dict(enumerate([(0.5, 0), (0.82, 20), (0.86, 60), (0.9, 100), (0.6, 90)]))
    known = table(*(trial(n, accuracy, cost) for n, (accuracy, cost) in macs.items()))
    assert list(point(known, FREE, "macs").choose(rule)) == [number]


@pytest.mark.parametrize("rule", RULES)
def test_a_single_network_is_picked_by_every_rule(rule):
    known = table(trial(0, 0.5, 10))
    assert list(draw(known, FREE, "macs").picked(rule)) == [1]
    nothing = draw(known, Budget.parse("1-macs"), "macs")
    assert list(nothing.picked(rule)) == [0]


def test_shares_of_picks_sum_up_to_draws_with_a_front():
    within = np.array([[True, True], [True, False], [False, False], [False, True]])
    drawn = Draws(np.tile([1.0, 2.0], (4, 1)), np.tile([0.5, 0.6], (4, 1)), within)
    assert list(drawn.picked("best")) == [0.25, 0.5]
    assert list(drawn.picked("fastest")) == [0.5, 0.25]
