"""What long trainings of a few say of the others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

import nas
from nas.expected import FEWEST_TRAININGS, expect, expected_front
from nas.ranking import tau
from nas.records import CONFIRMED, TRIALS, Result

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
    assert expect(rows, scores, known(truth, FEWEST_TRAININGS - 1)) is None
    found = expect(rows, scores, known(truth, FEWEST_TRAININGS))
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


# Runs --------------------------------------------------------------------------------------------


def copied(run: nas.Run, folder: Path, confirmed: int, taken: int = 0) -> nas.Run:
    """A copy of a run; its first trials `taken` from another, its last ones `confirmed`."""
    shutil.copytree(run.path, folder)
    sources = [f"x:{n}" if n < taken else None for n in range(len(run.records))]
    trials = [replace(t, source=s) for t, s in zip(run.records, sources, strict=True)]
    lines = [
        replace(t, result=Result(0.9 - n / 20, 0.5, 359, (1.0,), (), 1.0)).to_json()
        for n, t in enumerate(trials[len(trials) - confirmed :])
    ]
    for name, content in ((TRIALS, [t.to_json() for t in trials]), (CONFIRMED, lines)):
        (folder / name).write_text("".join(f"{line}\n" for line in content))
    return nas.load(folder)


def test_the_front_to_expect_of_a_run(finished, tmp_path, cli):
    run = copied(finished, tmp_path / "run", confirmed=4)
    found = expected_front(run)
    costs = [hope.cost for hope in found]
    assert costs == sorted(costs) and {hope.confirmed for hope in found} <= {True, False}
    assert all(0 < hope.low < hope.accuracy < hope.high < 1 for hope in found)
    assert "The front that longer trainings are expected to find" in cli("trust", run.path).out
    assert json.loads(cli("trust", run.path, "--json").out)["expected"][0]["cost"] == costs[0]
    assert expected_front(copied(finished, tmp_path / "few", confirmed=FEWEST_TRAININGS - 1)) == ()


def test_trials_of_earlier_runs_have_no_part_in_it(finished, tmp_path):
    found = expected_front(copied(finished, tmp_path / "run", confirmed=4, taken=3))
    assert found and {0, 1, 2}.isdisjoint(hope.number for hope in found)


def test_blocks_that_are_not_here_leave_it_out(finished, tmp_path):
    run = copied(finished, tmp_path / "run", confirmed=4)
    info = json.loads((run.path / "run.json").read_text())
    info["settings"]["blocks"] = ["no_such_module"]
    (run.path / "run.json").write_text(json.dumps(info))
    assert expected_front(nas.load(run.path)) == ()
