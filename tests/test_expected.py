"""What long trainings of a few say of the others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from nas.expected import LEAST_TOLD, expect
from nas.ranking import tau

COUNT = 60


def table(seed: int, slope: float, own: float) -> tuple[list, np.ndarray, np.ndarray]:
    """Rows, scores and true accuracies: `slope` of the score, and `own` of the architecture."""
    rng = np.random.default_rng(seed)
    rows = [(tuple(size), tuple(form)) for size, form in rng.normal(size=(COUNT, 2, 2))]
    scores = rng.uniform(0.2, 0.6, COUNT)
    virtue = np.array([np.sin(size[0]) + form[1] for size, form in rows])
    return rows, scores, expit(slope * (scores - 0.4) + own * virtue)


def known(truth: np.ndarray, count: int) -> dict[int, float]:
    return {i: float(truth[i]) for i in range(count)}


def test_too_few_say_nothing_and_three_keep_the_order_of_the_scores():
    rows, scores, truth = table(0, slope=3.0, own=0.0)
    assert expect(rows, scores, known(truth, LEAST_TOLD - 1)) is None
    found = expect(rows, scores, known(truth, LEAST_TOLD))
    assert found and tau(found.accuracy, truth) > 0.9


def test_many_correct_the_scores():
    rows, scores, truth = table(1, slope=1.0, own=0.5)
    rest = slice(30, None)
    few, many = (expect(rows, scores, known(truth, n)) for n in (5, 30))
    assert few and many
    assert tau(many.accuracy[rest], truth[rest]) > tau(scores[rest], truth[rest]) + 0.3
    assert tau(many.accuracy[rest], truth[rest]) > tau(few.accuracy[rest], truth[rest])


def test_scores_that_say_nothing_do_no_harm():
    rows, scores, truth = table(2, slope=0.0, own=0.5)
    found = expect(rows, scores, known(truth, 30))
    assert found and tau(found.accuracy[30:], truth[30:]) > 0.6


def test_the_interval_holds_about_two_thirds():
    inside = []
    for seed in range(12):
        rows, scores, truth = table(seed, slope=2.0, own=0.3)
        noisy = expit(logit(truth) + 0.1 * np.random.default_rng(seed).normal(size=COUNT))
        found = expect(rows, scores, known(noisy, 20))
        assert found and (found.low < found.accuracy).all() and (found.high < 1).all()
        inside += list((found.low <= noisy)[20:] & (noisy <= found.high)[20:])
    assert 0.5 < np.mean(inside) < 0.9


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_equal_and_extreme_accuracies(accuracy):
    rows, _, _ = table(3, slope=1.0, own=0.0)
    found = expect(rows, np.full(COUNT, 0.3), dict.fromkeys(range(4), accuracy))
    assert found and np.isfinite(found.accuracy).all()
