"""How far a ranking can be believed, by hand; and the longer trainings that confirm a front."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPE, RECIPE_YAML

import nas
from nas.budget import Budget
from nas.confirm import FEW, candidates, confirming, longer, predicted, resulting, trials_end
from nas.errors import InputError
from nas.evaluate import Task
from nas.executors import train
from nas.ranking import agreement, tau
from nas.recipe import PRESETS, Recipe
from nas.records import CONFIRMED, FAILED, TRIALS, Result, Trial, read_trials
from nas.settings import Settings
from nas.shared.checkpoint import Checkpoint
from nas.trust import Trust, trust

OBJECTIVES = ("accuracy", "macs")


def trial(number: int, accuracy: float, macs: int = 0, seed: int = 0, images: int = 400) -> Trial:
    costs = dict.fromkeys(("params", "activations", "traffic", "memory", "size"), 1)
    return Trial(
        number=number,
        id=f"{number:012x}",
        params={},
        arch={},
        cost={"macs": macs or number + 1, **costs},
        state="complete",
        seed=seed,
        result=Result(accuracy, 1.0, images, (1.0,), ((1, accuracy),), 1.0),
    )


def run_of(folder: Path, trials: list[Trial], confirmed: list[Trial] = (), task="one") -> nas.Run:
    folder.mkdir()
    settings = {"objectives": OBJECTIVES, "budget": ()}
    (folder / "run.json").write_text(json.dumps({"settings": settings, "task": {"id": task}}))
    for name, found in ((TRIALS, trials), (CONFIRMED, confirmed)):
        (folder / name).write_text("".join(f"{t.to_json()}\n" for t in found))
    return nas.load(folder)


def known(*arguments, **settings) -> Trust:
    found = trust(run_of(*arguments, **settings))
    assert found
    return found


# Agreement of two orders -------------------------------------------------------------------------


def test_tau_by_hand():
    assert tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1 and tau([1, 2, 3], [3, 2, 1]) == -1
    assert tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert tau([1, 1, 1], [1, 2, 3]) == 0


def test_the_interval_holds_tau_narrows_with_more_and_repeats():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    scores = truth + rng.normal(size=400)
    few, many = agreement(scores[:40], truth[:40]), agreement(scores, truth)
    for found in (few, many):
        assert found.low < found.tau < found.high
    assert many.high - many.low < (few.high - few.low) / 2
    assert agreement(scores, truth) == many != agreement(scores, truth, seed=1)


# What a run says ---------------------------------------------------------------------------------


def test_noise_by_hand(tmp_path):
    found = known(tmp_path / "run", [trial(0, 0.5), trial(1, 0.6), trial(2, 0.5)])
    assert found.error == pytest.approx(0.5 / 20)  # √(¼ / 400)
    assert found.difference == pytest.approx(1.96 * 2**0.5 / 40)
    assert found.finest == 1 / 400
    assert found.ceiling is None and found.agreement is None and found.seeds is None


def test_points_of_the_front_that_are_not_told_apart(tmp_path):
    found = known(tmp_path / "run", [trial(0, 0.5), trial(1, 0.55), trial(2, 0.8), trial(3, 0.4)])
    assert found.ties == {0: (1,), 1: (0,), 2: ()}
    assert "2 of the front's 3 are not told from another" in found.sentence


@pytest.mark.parametrize(
    ("spread", "low", "high"), [(0.3, 0.8, 0.95), (0.15, 0.4, 0.8), (0.002, 0.0, 0.1)]
)
def test_noise_bounds_the_ranking_the_more_the_nearer_the_networks(tmp_path, spread, low, high):
    found = known(tmp_path / "run", [trial(n, 0.5 + spread * (n / 20 - 0.5)) for n in range(20)])
    assert found.ceiling is not None and low <= found.ceiling <= high


def test_seeds_where_other_runs_of_the_task_repeat_networks(tmp_path):
    run = run_of(tmp_path / "run", [trial(0, 0.5), trial(1, 0.7), trial(2, 0.1)])
    other = run_of(tmp_path / "other", [trial(0, 0.52, seed=1), trial(1, 0.7, seed=1)])
    same = run_of(tmp_path / "same", [trial(0, 0.5)])
    stranger = run_of(tmp_path / "stranger", [trial(0, 0.9, seed=2)], task="two")
    found = trust(run, [other, same, stranger])
    assert found and found.repeated == 2
    assert found.seeds == pytest.approx(0.01)  # variances of 0.0002 and 0


def test_confirmed_accuracies_beside_those_of_the_search(tmp_path):
    trials = [trial(n, 0.5 + n / 20) for n in range(5)]
    longer = [trial(n, accuracy) for n, accuracy in enumerate((0.6, 0.7, 0.75, 0.72, 0.9))]
    found = known(tmp_path / "run", trials, longer)
    first = found.confirmed[0]
    assert (first.number, first.accuracy, first.confirmed) == (0, 0.5, 0.6)
    assert found.agreement and found.agreement.tau == pytest.approx(0.8)  # one pair of ten differs
    assert known(tmp_path / "few", trials, longer[:3]).agreement is None


def test_nothing_is_believed_of_nothing(tmp_path, cli):
    run = run_of(tmp_path / "run", [replace(trial(0, 0.5), state=FAILED)])
    assert trust(run) is None
    found = cli("trust", run.path)
    assert found.code == 2 and "no trial is complete" in found.err


def test_it_is_printed_and_one_json_document(tmp_path, cli):
    trials = [trial(n, 0.5 + n / 20) for n in range(5)]
    run = run_of(tmp_path / "run", trials, [trial(n, 0.6 + n / 20) for n in range(5)])
    other = run_of(tmp_path / "other", [trial(0, 0.52, seed=1)])
    found = cli("trust", run.path, other.path)
    assert found.code == 0 and found.err == ""
    for words in (
        "5 complete trials",
        "400 validation images",
        "Seeds: 1 networks",
        "τ of the two",
    ):
        assert words in found.out
    document = json.loads(cli("trust", run.path, "--json").out)
    assert document["agreement"]["tau"] == pytest.approx(1)
    assert document["ties"][0] == {"number": 0, "not_told_from": [1]}


# Confirming --------------------------------------------------------------------------------------


def test_candidates_are_those_least_short_of_the_front():
    trials = [trial(0, 0.5), trial(1, 0.45), trial(2, 0.8), trial(3, 0.79), trial(4, 0.2)]
    assert [t.number for t in candidates(trials, OBJECTIVES, Budget(), 4)] == [2, 0, 3, 1]
    assert candidates(trials, OBJECTIVES, Budget.parse(["1-macs"]), 4) == [trials[0]]
    assert candidates([], OBJECTIVES, Budget(), 4) == []


def test_a_confirming_recipe_is_longer_and_of_the_same_images():
    thorough = PRESETS["thorough"]
    assert confirming(PRESETS["quick"]) == thorough
    longer = confirming(Recipe(epochs=40, proxy_resolution=48, stem_stride=1))
    assert (longer.epochs, longer.proxy_resolution, longer.stem_stride) == (120, 48, 1)


@pytest.fixture
def brief(monkeypatch):
    """Confirming trainings of two epochs, which the tests can wait for."""
    monkeypatch.setitem(PRESETS, "thorough", replace(RECIPE, epochs=2))


def test_a_search_confirms_its_front_and_a_resume_goes_on(quick, tmp_path, brief, monkeypatch):
    run = quick(tmp_path / "run", trials=3, confirm=2)
    lines = (run.path / CONFIRMED).read_text().splitlines(keepends=True)
    first, second = read_trials(run.path / CONFIRMED)
    assert first.id == run.records[first.number].id and len(first.result.curve) == 3
    (run.path / CONFIRMED).write_text(lines[0] + lines[1][:20])  # as after a kill
    found = nas.resume(run.path, confirm=3).confirmed
    assert [t.number for t in found][:2] == [first.number, second.number] and len(found) == 3
    assert asdict(found[0]) == asdict(first)
    assert found[1].result.accuracy == second.result.accuracy

    monkeypatch.setitem(PRESETS, "thorough", replace(RECIPE, learning_rate=1e30))
    task = Task("digits", None, run.info["task"]["data_id"], RECIPE)
    trial = run.records[0]
    assert longer(trial, task).patience == 3  # times the epochs, of as many images
    failed = resulting(trial, train(longer(trial, task), lambda *epoch: None))
    assert (failed.state, failed.result) == (FAILED, None) and "Diverged" in failed.error


def test_a_few_are_confirmed_where_time_allows(quick, tmp_path, brief, monkeypatch):
    monkeypatch.setattr("nas.finale.SHARE", 1e6)
    run = quick(tmp_path / "run", trials=4, confirm=None)
    assert len(run.confirmed) == FEW
    assert quick(tmp_path / "none", trials=4).confirmed == []
    monkeypatch.setattr("nas.finale.SHARE", 0.0)
    assert quick(tmp_path / "short", trials=4, confirm=None).confirmed == []


def test_runs_of_earlier_versions_confirm_nothing_by_themselves():
    data = asdict(Settings())
    del data["confirm"]
    assert Settings.from_dict(data).confirm == 0 and Settings().confirm is None


@pytest.mark.parametrize(
    ("deadline", "confirm", "end"),
    [(150.0, 0, 150.0), (150.0, None, 140.0), (90.0, 2, 101.0), (inf, None, inf)],
    ids=["asked for none", "a few", "late", "no time"],
)
def test_the_last_trial_leaves_time_for_what_nobody_asked_for(monkeypatch, deadline, confirm, end):
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert trials_end(deadline, confirm) == end


def test_how_long_a_confirmation_will_take():
    task = Task("digits", None, "x", Recipe(epochs=5, subset=4000))
    assert predicted(trial(0, 0.5), task, 1000) == 3  # as many images, 15 epochs for 5
    assert predicted(trial(0, 0.5), task, 8000) == 6
    assert predicted(replace(trial(0, 0.5), result=None), task, 8000) == inf
    shared = replace(task, shared=Checkpoint("x", "y"))
    assert predicted(trial(0, 0.5, images=500), shared, 1000) == 4 * 15 * 1000 / 500


def test_confirming_from_the_command_line(cli, quick_flags, tmp_path, brief):
    flags = [*quick_flags, "--trials", 2, "--out", tmp_path / "run", "--confirm", 1]
    found = cli("search", *flags)
    assert found.code == 0 and "validation images tell accuracies apart" in found.out
    assert len(read_trials(tmp_path / "run" / CONFIRMED)) == 1
    document = json.loads(cli("search", "--resume", tmp_path / "run", "--json").out)
    assert document["trust"]["confirmed"][0]["number"] in (0, 1)
    assert document["trust"]["expected"] == []
    refused = cli("search", *quick_flags, "--confirm", -1)
    assert refused.code == 2 and "--confirm: expected 0 or more, got -1" in refused.err


# Presets -----------------------------------------------------------------------------------------


def test_a_recipe_by_name_or_file(tmp_path):
    assert all(Recipe.load(name) == preset for name, preset in PRESETS.items())
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE_YAML)
    assert Recipe.load(str(path)) == RECIPE
    with pytest.raises(InputError, match=r"recipe 'quik': no such preset.*did you mean quick"):
        Recipe.load("quik")
