"""Stopping early: the forecast, the rule, and searches whose trials climb rung by rung."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from conftest import QUICK, wait_for
from scipy.stats import linregress
from scipy.stats import t as student

import nas
from nas.errors import InputError
from nas.evaluate import Task, cached_data, climb, evaluate
from nas.records import COMPLETE, STOPPED, Result, Trial, read_lines
from nas.rungs import DOUBT, LEAST, Rivals, products, regress
from nas.space_file import load_space

IMAGES, BOTH = 1000, ("accuracy", "macs")


def trial(macs: float, loss: float, final: float | None = None, state: str = COMPLETE) -> Trial:
    """One with this training loss in its first epoch; of five where it came to the end."""
    curve = (loss,) if final is None else (loss, *np.linspace(loss, 0.5, 5)[1:])
    accuracy = 0.3 if final is None else final
    return Trial(
        number=0,
        id="",
        params={},
        arch={},
        cost={"macs": int(macs), "params": 1000},
        state=state,
        seed=0,
        result=Result(accuracy, 1.0, IMAGES, curve, ((len(curve), accuracy),), 1.0),
    )


def finished(count: int, seed: int = 0) -> list[Trial]:
    """Complete trials whose accuracy follows from their first loss, with some noise."""
    rng = np.random.default_rng(seed)
    loss = rng.uniform(1.0, 2.0, count)
    final = 0.9 - 0.4 * (loss - 1) + rng.normal(0, 0.01, count)
    macs = rng.uniform(1, 100, count)
    return [trial(*row) for row in zip(macs, loss, final, strict=True)]


# The forecast ------------------------------------------------------------------------------------


def line(x) -> np.ndarray:
    return np.stack([np.ones_like(x), x], axis=-1)


def test_the_regression_is_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    y = 2 * x + rng.normal(size=12)
    found, known = regress(products(line(x), y), line(np.array(0.7))), linregress(x, y)
    assert found.mean == pytest.approx(known.intercept + 0.7 * known.slope)
    # The standard error of the line at the mean of x is that of the residuals over the root of n.
    residual = np.sqrt(((y - known.intercept - known.slope * x) ** 2).sum() / 10)
    middle = regress(products(line(x), y), line(x.mean()))
    assert middle.scale == pytest.approx(residual * np.sqrt(13 / 12))
    assert found.freedom == 10


def test_one_in_twenty_exceeds_what_is_exceeded_with_five_percent():
    """The forecast is calibrated, also with a handful of trials."""
    rng, above = np.random.default_rng(0), 0
    for _ in range(2000):
        x = rng.normal(size=LEAST + 1)
        y = 0.5 * x + rng.normal(size=LEAST + 1)
        found = regress(products(line(x[:-1]), y[:-1]), line(x[-1]))
        above += y[-1] > found.mean + found.scale * student.isf(0.05, found.freedom)
    assert above / 2000 == pytest.approx(0.05, abs=0.015)


def test_few_complete_trials_tell_nothing():
    new = trial(50, 1.5)
    assert Rivals(BOTH, finished(LEAST - 1)).forecast(new) is None
    assert Rivals(BOTH, finished(LEAST)).forecast(new) is not None
    stopped = [trial(1, 1.5, state=STOPPED)] * 20
    assert Rivals(BOTH, [*finished(LEAST - 1), *stopped]).forecast(new) is None


def test_only_equal_epochs_are_compared():
    """The second epoch's loss says something else than the first one's."""
    rivals = Rivals(BOTH, finished(30))
    early, late = trial(50, 1.2), trial(50, 1.2)
    late = replace(late, result=replace(late.result, curve=(1.9, 1.2)))
    assert rivals.forecast(early).accuracy > rivals.forecast(late).accuracy


def test_trials_of_one_accuracy_forecast_it():
    same = [trial(m, 1.5, 0.6) for m in range(LEAST)]
    assert Rivals(BOTH, same).forecast(trial(50, 1.5)).accuracy == pytest.approx(0.6, abs=1e-3)


# The rule ----------------------------------------------------------------------------------------


def test_a_poor_trial_stops_and_a_promising_one_goes_on():
    rivals = Rivals(BOTH, finished(30))
    assert not rivals.may_enter(trial(100, 1.8))
    assert rivals.may_enter(trial(100, 0.9))


def test_the_cheapest_always_goes_on():
    assert Rivals(BOTH, finished(30)).may_enter(trial(0.5, 3.0))


def test_a_trial_that_is_cheaper_in_one_of_two_costs_goes_on():
    def with_params(found: Trial, params: int) -> Trial:
        return replace(found, cost={**found.cost, "params": params})

    others = [with_params(t, 10) for t in finished(30)]
    rivals = Rivals(("accuracy", "macs", "params"), others)
    assert rivals.may_enter(with_params(trial(100, 1.8), 9))
    assert not rivals.may_enter(with_params(trial(100, 1.8), 10))


def test_of_the_stopped_few_would_have_entered():
    stopped = wrong = 0
    for seed in range(60):
        *others, whole = finished(31, seed)
        loss = whole.result.curve[0]
        if Rivals(BOTH, others).may_enter(trial(whole.cost["macs"], loss)):
            continue
        stopped += 1
        bar = max(t.result.accuracy for t in others if t.cost["macs"] <= whole.cost["macs"])
        wrong += whole.result.accuracy > bar
    assert stopped >= 20
    assert wrong <= 2 * DOUBT * stopped


# Training by rungs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "mobile"])
def test_rung_by_rung_is_the_same_training_to_the_bit(name):
    data = cached_data("digits", None)
    recipe = replace(QUICK["recipe"], epochs=3)
    task = Task("digits", None, data.id, recipe)
    space = load_space(name).bind(classes=10)
    arch = space.minimise(lambda candidate: candidate.cost.macs).arch
    rung = None
    for epochs in (1, 2, 3):
        rung = climb(arch, task, 5, epochs, rung)
        assert (rung.state is None) == (epochs == 3)
    whole = evaluate(arch, task, 5)
    assert [epochs for epochs, _ in rung.result.rungs] == [1, 2, 3]
    assert replace(rung.result, rungs=(), seconds=0) == replace(whole, rungs=(), seconds=0)


# Searches ----------------------------------------------------------------------------------------


def test_a_search_stops_trials_and_keeps_their_curve(quick, tmp_path):
    recipe = replace(QUICK["recipe"], epochs=3, subset=200)
    run = quick(tmp_path / "run", trials=24, recipe=recipe, rungs=(1, 2))
    states = run.trials["state"].value_counts()
    assert states.sum() == 24 and states["stopped"] >= 3
    for record in run.records:
        epochs = [epochs for epochs, _ in record.result.rungs]
        assert epochs == [1, 2, 3][: len(epochs)]
        assert len(record.result.curve) == epochs[-1]
        assert (record.state == COMPLETE) == (epochs[-1] == 3)
    assert set(run.front["state"]) == {"complete"}
    assert (run.trials["epochs"] == [r.result.rungs[-1][0] for r in run.records]).all()
    assert not list((run.path / "state").iterdir())


def test_a_search_by_rungs_repeats(quick, tmp_path):
    recipe = replace(QUICK["recipe"], epochs=2)
    runs = [quick(tmp_path / str(n), trials=12, recipe=recipe, rungs=(1,)) for n in range(2)]
    one, two = ([(t.id, t.state, t.result.rungs) for t in run.records] for run in runs)
    assert one == two


def test_a_killed_search_goes_on_from_the_rung(spawn, tmp_path):
    (tmp_path / "recipe.yaml").write_text("{epochs: 3, batch: 20, subset: 1000}\n")
    flags = ["--space", "tiny", "--objectives", "accuracy,macs", "--recipe", "recipe.yaml"]
    process = spawn("search", *flags, "--rungs", "1,2", "--trials", 3, "--out", "run", "--quiet")
    rungs = tmp_path / "run" / "rungs.jsonl"
    wait_for(lambda: rungs.exists() and len(rungs.read_text().splitlines()) >= 3, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = {line["number"]: line for line in read_lines(rungs)}
    done = {line["number"] for line in read_lines(tmp_path / "run" / "trials.jsonl")}
    under_way = set(reached) - done
    run = nas.resume(tmp_path / "run")
    assert [t.number for t in run.records] == [0, 1, 2]
    for number in under_way:  # one at most; what it had learnt was not learnt again
        before, after = reached[number], run.records[number]
        assert after.id == before["id"]
        assert json.loads(after.to_json())["result"]["rungs"][0] == before["result"]["rungs"][0]
        assert after.seconds > before["seconds"]


@pytest.mark.parametrize("rungs", [(0,), (1,), (2, 1), (1, 1), (5,)])
def test_rungs_that_do_not_rise_within_the_epochs(quick, tmp_path, rungs):
    with pytest.raises(InputError, match="--rungs: expected rising epochs"):
        quick(tmp_path / "run", rungs=rungs)  # of one epoch


def test_rungs_that_are_no_numbers(cli):
    found = cli("search", "--rungs", "one", "--quiet")
    assert (found.code, found.out) == (2, "")
    assert "--rungs 'one': expected epochs as 1,3 or none" in found.err
