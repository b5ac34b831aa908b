"""Searches that begin with the results of earlier ones."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from conftest import QUICK, Spoken

import nas
from nas import evaluate
from nas.errors import InputError
from nas.prior import Clock, prior_trials
from nas.records import FAILED, STOPPED
from nas.settings import Settings
from nas.space_file import load_space

NARROW = """
stem: {block: conv, kernel: 3, stride: 2, width: {choice: [8, 16]}}
defaults:
  block: {choice: [depthwise_separable, inverted_residual]}
  kernel: {choice: [3, 5]}
  expansion: {choice: [2, 4]}
  attention: {choice: [none, se]}
stages:
  - {depth: 1,             stride: 2, width: {choice: [16, 24]}}
  - {depth: {int: [1, 2]}, stride: 2, width: {choice: [24, 32, 48]}}
  - {depth: {int: [1, 2]}, stride: 2, width: {choice: [48, 64, 96]}}
head: {head: classifier}
"""


def own(run: nas.Run) -> list:
    return [trial for trial in run.records if trial.source is None]


def test_a_search_takes_over_results_and_counts_none_of_them(finished, quick, tmp_path):
    run = quick(tmp_path / "run", trials=3, prior=[finished.path], seed=1)
    assert len(own(run)) == 3 and len(run.records) == 11
    assert [t.number for t in run.records] == list(range(11))
    assert len({t.id for t in run.records}) == 11
    for taken, trial in zip(run.records, finished.records, strict=False):
        assert taken.source == f"{finished.path}:{trial.number}"
        assert (taken.id, taken.params, taken.result) == (trial.id, trial.params, trial.result)


def test_nothing_is_trained_twice(finished, quick, tmp_path, monkeypatch):
    trained = []
    real = evaluate.climb

    def spy(arch, *rest):
        trained.append(arch.id)
        return real(arch, *rest)

    monkeypatch.setattr("nas.executors.base.climb", spy)
    quick(tmp_path / "run", trials=8, prior=[finished.path])  # of the same seed
    assert len(trained) == 8
    assert not {trial.id for trial in finished.records} & set(trained)


def test_a_front_holds_earlier_results_within_its_own_budget(finished, quick, tmp_path):
    limit = sorted(trial.cost["macs"] for trial in finished.records)[4]
    run = quick(tmp_path / "run", trials=1, prior=[finished.path], budget=f"{limit}-flops")
    table = run.trials
    assert list(table["over_budget"]) == [t.cost["macs"] > limit for t in run.records]
    assert (run.front["macs"] <= limit).all()
    assert run.front["source"].notna().any()


def test_the_model_learns_from_points_of_another_space(finished, tmp_path, quick):
    (tmp_path / "narrow.yaml").write_text(NARROW)
    run = quick(tmp_path / "run", space=tmp_path / "narrow.yaml", trials=2, prior=[finished.path])
    for taken, trial in zip(run.records, finished.records, strict=False):
        inside = all(
            stage["block"] in ("depthwise_separable", "inverted_residual")
            for stage in trial.arch["stages"]
        )
        # What is no point of this space keeps all that it was made from, for a run after this one.
        assert taken.params.items() >= trial.params.items()
        assert (taken.params == trial.params) == inside
    third = quick(tmp_path / "third", trials=1, prior=[run.path])
    for again, trial in zip(third.records, finished.records, strict=False):
        assert again.params == trial.params


def test_results_that_are_no_points_of_the_space_are_counted(finished, tmp_path, quick):
    (tmp_path / "narrow.yaml").write_text(NARROW)
    spoken, space = Spoken(), tmp_path / "narrow.yaml"
    run = quick(tmp_path / "run", space=space, trials=1, prior=[finished.path], progress=spoken)
    strangers = sum(not load_space(space).has(trial.params) for trial in run.records)
    assert strangers
    assert any(f"{strangers} of 8 earlier results are no points" in line for line in spoken.said)


def test_a_chain_of_runs_names_the_first_source(finished, quick, tmp_path):
    one = quick(tmp_path / "one", trials=1, prior=[finished.path])
    two = quick(tmp_path / "two", trials=1, prior=[one.path, finished.path])
    assert [t.source for t in two.records[:8]] == [t.source for t in one.records[:8]]
    assert two.records[8].source == f"{one.path}:8"
    assert len(two.records) == 10


def test_going_on_needs_the_earlier_run_no_more(finished, quick, tmp_path):
    first = quick(tmp_path / "first", trials=2)
    run = quick(tmp_path / "run", trials=1, prior=[first.path], seed=1)
    first.path.rename(tmp_path / "gone")
    assert len(own(nas.resume(run.path, trials=3))) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": replace(QUICK["recipe"], epochs=2)}, "in its recipe epochs is 1, here 2"),
        ({"resolution": 96}, "its resolution is 224, here 96"),
    ],
    ids=["recipe", "resolution"],
)
def test_results_of_another_task(finished, quick, tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        quick(tmp_path / "run", prior=[finished.path], **change)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run(quick, tmp_path):
    with pytest.raises(InputError, match=r"run\.json: .* is .* a run\?"):
        quick(tmp_path / "run", prior=[tmp_path])


def test_from_on_the_command_line(cli, finished, quick_flags, tmp_path):
    flags = [*quick_flags, "--from", finished.path, "--trials", 1, "--out", tmp_path / "run"]
    assert cli("search", *flags, "--quiet").code == 0
    assert len(nas.load(tmp_path / "run").records) == 9


# Latencies ---------------------------------------------------------------------------------------

KNOWN = {"latency_ms": 4.0, "low": 3.8, "high": 4.4, "raw_ms": 5.0, "ratio": 2.0}
KNOWN |= {"reference_ms": 2.0, "backend": "onnxruntime", "threads": 1, "cpu": "this"}
KNOWN |= {"source": "measured"}


class Measured(Exception):
    """A network was measured."""


def measure(graph):
    raise Measured


CLOCK = Clock(3.0, "onnxruntime", 1, "this", measure)


def test_a_latency_of_the_same_engine_takes_the_runs_unit(finished):
    found = CLOCK.latency(replace(finished.records[0], latency=KNOWN))
    assert [found[k] for k in ("latency_ms", "low", "reference_ms")] == pytest.approx([6, 5.7, 3])
    assert (found["ratio"], found["raw_ms"]) == (2.0, 5.0)


@pytest.mark.parametrize(
    "other",
    [None, {"cpu": "that"}, {"threads": 2}, {"backend": "torch"}, {"source": "estimated"}],
    ids=str,
)
def test_another_latency_is_measured(finished, other):
    known = None if other is None else {**KNOWN, **other}
    with pytest.raises(Measured):
        CLOCK.latency(replace(finished.records[0], latency=known))


def test_a_search_without_latency_takes_none(finished):
    space = load_space("tiny").bind(classes=10)
    settings = Settings(prior=(str(finished.path),))
    assert all(trial.latency is None for trial in prior_trials(settings, space, None))


# What is not taken over --------------------------------------------------------------------------


def altered(run, folder, **changes):
    """A copy of a run whose first trial is another."""
    shutil.copytree(run.path, folder)
    first, *others = run.records
    lines = [replace(first, **changes).to_json(), *(trial.to_json() for trial in others)]
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("state", [FAILED, STOPPED])
def test_a_complete_result_comes_before_any_other(finished, tmp_path, state):
    other = altered(finished, tmp_path / "other", state=state)
    space = load_space("tiny").bind(classes=10)
    settings = Settings(objectives=("accuracy", "macs"), prior=(str(other), str(finished.path)))
    found = {trial.id: trial for trial in prior_trials(settings, space, None)}
    assert found[finished.records[0].id].source == f"{finished.path}:0"
    assert len(found) == 8


def test_what_failed_may_be_tried_again(finished, tmp_path):
    failed = altered(finished, tmp_path / "other", state=FAILED, result=None, error="no memory")
    space = load_space("tiny").bind(classes=10)
    assert len(prior_trials(Settings(prior=(str(failed),)), space, None)) == 7


def test_what_was_stopped_counts_for_the_same_objectives_only(finished, tmp_path):
    stopped = altered(finished, tmp_path / "other", state=STOPPED)
    space = load_space("tiny").bind(classes=10)
    same = Settings(objectives=("accuracy", "macs"), prior=(str(stopped),))
    assert len(prior_trials(same, space, None)) == 8
    others = replace(same, objectives=("accuracy", "params"))
    assert len(prior_trials(others, space, None)) == 7


def test_an_interrupted_start_leaves_no_run(finished, quick, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.driver.prior_trials", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / "run", prior=[finished.path])
    assert not (tmp_path / "run").exists()
