"""The search end to end: real trainings, real processes, real signals."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import RECIPE, Spoken, wait_for, workers_of
from PIL import Image

import nas
from nas import driver, evaluate, latencies
from nas.arch import graph_id
from nas.budget import Budget
from nas.errors import InputError
from nas.progress import Progress
from nas.records import COMPLETE, FAILED, read_lines, read_trials
from nas.samplers import NAMES

TINY = Path(nas.__file__).parent.parent / "search_spaces" / "tiny.yaml"
ONE = """
stem: {block: conv, width: 8, stride: 2}
stages: [{block: depthwise_separable, stride: 2, width: 16}]
head: {head: classifier}
"""
FEW = """
stem: {block: conv, width: 8, stride: 2}
stages:
  - block: {choice: [conv, depthwise_separable]}
    stride: 2
    width: {choice: [16, 24]}
    expansion: {choice: [2, 4]}    # of inverted_residual, which no stage has
head: {head: classifier}
"""


def lines(run: Path) -> list[str]:
    path = run / "trials.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def facts(run: nas.Run) -> list[tuple]:
    """All of a run's trials that does not depend on the clock."""
    return [
        (t.number, t.id, t.params, t.state, t.result and replace(t.result, seconds=0))
        for t in run.records
    ]


def check_whole(run: nas.Run, trials: int) -> None:
    """Numbers from 0 without a gap, no architecture twice."""
    assert sorted(trial.number for trial in run.records) == list(range(trials))
    assert len({trial.id for trial in run.records}) == trials


# A run from its beginning to its end ------------------------------------------------------------


def test_a_run_leaves_its_files(finished):
    files = {str(p.relative_to(finished.path)) for p in finished.path.rglob("*") if p.is_file()}
    of_front = {f"architectures/{number}.yaml" for number in finished.front["number"]}
    assert files == of_front | {
        ".lock",
        "front.csv",
        "front.png",
        "run.json",
        "space.yaml",
        "trials.jsonl",
    }
    assert (finished.path / "space.yaml").read_text() == TINY.read_text()
    assert len(lines(finished.path)) == 8
    with Image.open(finished.path / "front.png") as image:
        image.verify()


def test_run_json_tells_how_to_repeat_it(finished):
    info = json.loads((finished.path / "run.json").read_text())
    assert info["settings"] == {
        "space": "tiny",
        "data": "digits",
        "data_dir": None,
        "budget": [],
        "objectives": ["accuracy", "macs"],
        "trials": 8,
        "time": None,
        "confirm": 0,
        "proxy": "alone",
        "proxy_time": None,
        "auto": True,
        "sampler": "cost-aware",
        "recipe": {
            "epochs": 1,
            "batch": 20,
            "subset": 100,
            "proxy_resolution": 16,
            "threads": 1,
            "learning_rate": 0.02,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "label_smoothing": 0.1,
            "augment": True,
            "stem_stride": None,
            "width": 1.0,
        },
        "rungs": [],
        "resolution": 224,
        "device": "cpu",
        "seed": 0,
        "baselines": [],
        "prior": [],
        "blocks": [],
        "backend": "onnxruntime",
        "threads": 1,
        "latency_table": None,
        "force_table": False,
    }
    assert info["versions"].keys() >= {"python", "torch", "optuna", "nas-explorer"}
    assert info["machine"].keys() >= {"cpu", "cores", "system", "torch_threads"}
    assert info["command"] and info["started"]
    assert info["hypervolume_reference"]["accuracy"] == 0.1
    assert len(info["task"]["data_id"]) == len(info["task"]["id"]) == 12


def test_every_trial_line_says_what_was_found(finished):
    for number, trial in enumerate(finished.records):
        assert (trial.number, trial.state, trial.error) == (number, COMPLETE, None)
        assert trial.result.validation_size == 359
        assert len(trial.result.curve) == RECIPE.epochs
        assert 0 <= trial.result.accuracy <= 1
        assert trial.architecture.id == trial.id
        found = nas.cost(nas.trace(trial.architecture))
        assert (found.macs, found.params) == (trial.cost["macs"], trial.cost["params"])


def test_architecture_files_are_the_front(finished):
    for row in finished.front.itertuples():
        path = finished.path / "architectures" / f"{row.number}.yaml"
        assert nas.Architecture.from_yaml(path).id == row.id


@pytest.mark.parametrize("sampler", NAMES)
def test_a_seed_decides_every_trial(sampler, quick, tmp_path):
    settings = {"sampler": sampler, "trials": 7 if sampler == "tpe" else 3}  # tpe starts at random
    first, again, other = (
        quick(tmp_path / name, seed=seed, **settings)
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    check_whole(first, settings["trials"])
    assert facts(first) == facts(again)
    assert {t.id for t in first.records} != {t.id for t in other.records}


def test_a_trial_is_within_the_budget_and_replaced_proposals_cost_no_number(quick, tmp_path):
    budget = ("6M-flops", "6k-params")  # about one proposal in a hundred
    run = quick(tmp_path / "run", objectives=("accuracy", "flops"), budget=budget, trials=6)
    check_whole(run, 6)
    assert run.objectives == ("accuracy", "macs")  # the field's name for them
    assert all(Budget.parse(budget).allows(trial.cost) for trial in run.records)
    assert run.info["hypervolume_reference"]["macs"] == 6e6


@pytest.mark.parametrize(("text", "count"), [(ONE, 1), (FEW.replace("    expansion", "#"), 4)])
def test_a_space_that_is_used_up_ends_the_search(text, count, quick, tmp_path):
    (tmp_path / "small.yaml").write_text(text)
    spoken = Spoken()
    run = quick(tmp_path / "run", space=tmp_path / "small.yaml", trials=9, progress=spoken)
    check_whole(run, count)
    assert spoken.said[-1].endswith(f"; the search ends after {count} trials")
    assert nas.resume(run.path).records == run.records


def test_the_test_part_is_never_looked_at(quick, tmp_path, monkeypatch):
    class Poison:
        def __getattribute__(self, name):
            raise AssertionError(f"the test part was asked for {name}")

        __len__ = __iter__ = __getitem__ = __bool__ = lambda self, *_: self.touched

    poisoned = replace(evaluate.cached_data("digits", None), test=Poison())
    monkeypatch.setattr(driver, "cached_data", lambda *_: poisoned)
    monkeypatch.setattr(evaluate, "cached_data", lambda *_: poisoned)
    evaluate._proxy_images.cache_clear()
    run = quick(tmp_path / "run", trials=1, baselines=("mobilenet_v2_x0_25",))
    assert run.records[0].state == COMPLETE
    with pytest.raises(AssertionError, match="the test part"):
        len(poisoned.test)


def test_a_baseline_is_no_trial(quick, tmp_path):
    names = ("mobilenet_v2_x0_25", "inception_v3")
    run = quick(tmp_path / "run", trials=1, baselines=names)
    check_whole(run, 1)
    small, large = run.baselines.itertuples()
    assert (small.name, large.name) == names
    assert 0 <= small.accuracy <= 1 and small.macs > 0
    assert np.isnan(large.accuracy) and large.macs > 0
    assert large.error == "its smallest input is larger than the proxy's 16 pixels"
    assert nas.resume(run.path).baselines["seconds"].equals(run.baselines["seconds"])


def test_time_ends_a_search_between_trials(quick, tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(driver.time, "monotonic", lambda: next(clock))
    run = quick(tmp_path / "run", trials=50, time=45.0)  # of which a glance takes ten
    check_whole(run, 3)


# Trials that fail --------------------------------------------------------------------------------

WILD = replace(RECIPE, learning_rate=1e9)


def test_a_failed_trial_has_its_reason_and_the_search_goes_on(quick, tmp_path):
    run = quick(tmp_path / "run", trials=3, recipe=WILD)
    check_whole(run, 3)
    assert all(t.state == FAILED and t.error.startswith("Diverged: ") for t in run.records)
    assert run.front.empty
    assert (run.path / "front.csv").exists()


def test_a_search_in_which_all_fails_ends_early(quick, tmp_path):
    with pytest.raises(InputError, match="all of the first 5 trials failed, the last with Diverge"):
        quick(tmp_path / "run", trials=40, recipe=WILD)
    check_whole(nas.load(tmp_path / "run"), 5)


def test_weights_that_overflow_in_the_last_step_fail_the_trial(quick, tmp_path):
    one_step = replace(WILD, subset=20, learning_rate=1e30)
    trial = quick(tmp_path / "run", trials=1, recipe=one_step).records[0]
    assert trial.state == FAILED and trial.error.startswith("Diverged: ")


# Going on ----------------------------------------------------------------------------------------


def test_a_killed_search_goes_on(spawn, quick_flags, tmp_path):
    run = tmp_path / "run"
    process = spawn("search", *quick_flags, "--trials", 500, "--out", run, "--quiet")
    wait_for(lambda: len(lines(run)) >= 2, process)
    process.kill()
    process.wait()
    before = (run / "trials.jsonl").read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    total = before.count(b"\n") + 3

    found = nas.resume(run, trials=total)
    assert (run / "trials.jsonl").read_bytes().startswith(before)
    check_whole(found, total)
    assert (run / "front.csv").exists()


def test_ctrl_c_ends_well_and_a_running_search_holds_its_folder(spawn, quick_flags, cli, tmp_path):
    run = tmp_path / "run"
    process = spawn("search", *quick_flags, "--trials", 500, "--out", run)
    wait_for(lambda: lines(run), process)
    with pytest.raises(InputError, match="another process is writing there"):
        nas.resume(run)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    last = err.splitlines()[-1]
    assert last.startswith("nas: interrupted; all finished trials are kept; go on with: nas ")
    assert "Traceback" not in err

    done = len(lines(run))
    command = last.partition("go on with: nas ")[2].split()
    assert cli(*command, "--trials", done + 1, "--quiet").code == 0
    check_whole(nas.load(run), done + 1)


def test_ctrl_c_before_the_first_trial_keeps_the_run(quick, tmp_path):
    class Interrupts(Progress):
        def begin(self, trial, epochs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / "run", progress=Interrupts())
    assert nas.load(tmp_path / "run").records == []
    check_whole(nas.resume(tmp_path / "run", trials=1), 1)


@pytest.fixture
def run(finished, tmp_path) -> nas.Run:
    """A finished run of eight trials in a folder of its own."""
    shutil.copytree(finished.path, tmp_path / "run")
    return nas.load(tmp_path / "run")


@pytest.mark.parametrize("keep", [1, -1, -20])
def test_a_line_that_was_cut_is_done_again(keep, run):
    path = run.path / "trials.jsonl"
    *whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + last[:keep])
    again = nas.resume(run.path)
    check_whole(again, 8)
    assert again.records[:7] == run.records[:7]


@pytest.mark.parametrize("bad", ['{"number": 1}', "[]", '{"number": 1', "", "\x00\x00"])
def test_a_corrupt_line_is_named(bad, run, cli):
    path = run.path / "trials.jsonl"
    first, _, *rest = path.read_text().splitlines()
    text = "\n".join([first, bad, *rest, ""])
    path.write_text(text)
    found = cli("search", "--resume", run.path)
    assert found.code == 2
    assert found.err.startswith(f"nas: {path}: line 2: ") and found.err.count("\n") == 1
    assert path.read_text() == text


def test_resume_to_a_higher_total_remembers_it(run):
    class Interrupts(Progress):
        def trial(self, trial, trials):
            raise KeyboardInterrupt

    before = (run.path / "trials.jsonl").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        nas.resume(run.path, trials=10, progress=Interrupts())
    check_whole(nas.resume(run.path), 10)
    assert (run.path / "trials.jsonl").read_bytes().startswith(before)


def test_generations_go_on(quick, tmp_path):
    run = quick(tmp_path / "run", trials=8, sampler="nsga2")
    found = nas.resume(run.path, trials=10)
    generations = [trial.sampler["NSGAIISampler:generation"] for trial in found.records]
    assert generations == [0] * 8 + [1] * 2


def test_resume_of_a_finished_run_rewrites_its_front(run):
    trials, front = (run.path / "trials.jsonl").read_bytes(), (run.path / "front.csv").read_text()
    for name in ("front.csv", "front.png"):
        (run.path / name).unlink()
    (run.path / "architectures" / "99.yaml").write_text("of another front")
    nas.resume(run.path)
    assert (run.path / "trials.jsonl").read_bytes() == trials
    assert (run.path / "front.csv").read_text() == front
    assert (run.path / "front.png").exists()
    assert not (run.path / "architectures" / "99.yaml").exists()


def test_resume_refuses_fewer_than_one_trial(run):
    with pytest.raises(InputError, match="--trials: expected 1 or more, got 0"):
        nas.resume(run.path, trials=0)


def test_data_that_changed_since_the_start_are_refused(quick, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3
    data = tmp_path / "own.npz"
    np.savez(data, x_train=x, y_train=y)
    run = quick(tmp_path / "run", data=str(data), trials=1)
    x[0, 0, 0] ^= 1
    np.savez(data, x_train=x, y_train=y)
    evaluate.cached_data.cache_clear()  # as another process would read them
    with pytest.raises(InputError, match=r"own.npz' is not what the run began with"):
        nas.resume(run.path, trials=2)
    check_whole(nas.load(run.path), 1)


def test_few_validation_images_are_told_of(quick, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", x_train=images, y_train=np.arange(60) % 2)
    said = Spoken()
    quick(tmp_path / "run", data=str(tmp_path / "few.npz"), trials=1, progress=said)
    (note,) = (line for line in said.said if "validation images" in line)
    assert note.endswith("points or more: few to rank by")


@pytest.mark.parametrize("where", [[], ["--workers", 2]], ids=["series", "workers"])
def test_a_full_disk_loses_nothing(where, quick_flags, cli, full_disk, tmp_path):
    run = tmp_path / "run"
    flags = [*quick_flags, *where, "--trials", 8, "--quiet", "--out", run]
    with full_disk(6000):  # a few lines
        found = cli("search", *flags)
    assert found.code == 1
    assert found.err.count("\n") == 1 and "trials.jsonl" in found.err
    done = read_trials(run / "trials.jsonl")
    assert 1 <= len(done) < 8 and not workers_of(run)
    assert (run / "trials.jsonl").read_bytes().endswith(b"\n")
    again = nas.resume(run)
    check_whole(again, 8)
    assert again.records[: len(done)] == done


def test_a_disk_without_space_is_named(quick_flags, cli, tmp_path, monkeypatch):
    run, synced = tmp_path / "run", iter([None] * 4)  # two files at the start, then two trials

    def fsync(file):
        if next(synced, "full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        found = cli("search", *quick_flags, "--trials", 4, "--quiet", "--out", run)
    assert found.code == 1
    assert found.err == (
        f"nas: {run}/trials.jsonl: no space left on the disk; all finished trials are kept; "
        f"go on with: nas search --resume {run}\n"
    )
    done = read_trials(run / "trials.jsonl")
    assert len(done) == 2
    assert nas.resume(run).records[:2] == done


def test_of_two_that_begin_at_once_the_second_gives_way(quick, run, tmp_path, monkeypatch):
    def meanwhile(*_):
        run.path.rename(tmp_path / "same")
        return {}

    before = (run.path / "run.json").read_bytes()
    monkeypatch.setattr(driver, "hypervolume_reference", meanwhile)
    with pytest.raises(InputError, match="same: exists; go on with --resume"):
        quick(tmp_path / "same")
    assert (tmp_path / "same" / "run.json").read_bytes() == before


# Latency -----------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """Latencies without a stopwatch: a millisecond for every million MACs."""
    from nas.latency import Latency

    seen = SimpleNamespace(measured=0)

    def measure(graph, *, reference_ms, backend, threads):
        seen.measured += 1
        ms = nas.cost(graph).macs / 1e6
        return Latency(ms, ms, ms, ms, ms, 1.0, 20, ms, "none", 1, "none", False)

    monkeypatch.setattr(latencies, "measure", measure)
    monkeypatch.setattr(latencies, "calibrate", lambda **engine: 1.0)
    return seen


def test_latency_on_this_machine(quick, tmp_path, own_lock):
    objectives, budget = ("accuracy", "latency"), "1000ms-latency"
    run = quick(tmp_path / "run", trials=1, objectives=objectives, budget=budget, threads=2)
    assert (run.front["latency_ms"] > 0).all()
    latency = run.records[0].latency
    assert (latency["backend"], latency["threads"]) == ("onnxruntime", 2)
    assert latency["low"] <= latency["latency_ms"] <= latency["high"]
    assert latency["reference_ms"] == run.info["reference_ms"]


def test_rejections_by_latency_are_no_trials(quick, tmp_path, clock):
    run = quick(tmp_path / "run", budget="8ms-latency", trials=4)
    check_whole(run, 4)
    assert all(trial.latency["latency_ms"] <= 8 for trial in run.records)
    rejected = read_lines(run.path / "rejected.jsonl")
    assert rejected
    for line in rejected:
        assert line["error"] == "over the latency budget"
        assert line["latency"]["latency_ms"] > 8
    ids = [line["id"] for line in rejected] + [trial.id for trial in run.records]
    assert len(set(ids)) == len(ids)


def test_a_run_that_goes_on_does_not_time_rejections_again(quick, tmp_path, clock):
    run = quick(tmp_path / "run", budget="8ms-latency", trials=2)
    nas.resume(run.path, trials=6)
    ids = [line["id"] for line in read_lines(run.path / "rejected.jsonl")]
    assert len(set(ids)) == len(ids)


def test_a_latency_budget_that_nothing_meets_writes_nothing(quick, tmp_path, clock):
    with pytest.raises(InputError, match=r"1e-06 ms latency: .*the smallest .* take 4.02 ms"):
        quick(tmp_path / "run", budget="0.001us-latency")
    assert not (tmp_path / "run").exists()


def test_a_front_point_whose_final_timing_exceeds_the_budget_leaves_the_front(
    quick, tmp_path, clock, monkeypatch
):
    real, counts = latencies.measure, Counter()

    def slower(graph, **settings):
        counts[identity := graph_id(graph)] += 1
        found = real(graph, **settings)
        return found if counts[identity] == 1 else replace(found, latency_ms=found.latency_ms + 2)

    monkeypatch.setattr(latencies, "measure", slower)
    run = quick(tmp_path / "run", budget="8ms-latency", trials=8)
    finals = read_lines(run.path / "final.jsonl")
    assert [line["number"] for line in finals] == list(run.finals)
    assert set(run.front["number"]) <= set(run.finals)  # also those that moved up
    table = run.trials.set_index("number")
    for line in finals:
        first, last = run.records[line["number"]].latency, line["latency"]
        assert last["latency_ms"] == pytest.approx(first["latency_ms"] + 2)
        assert table.loc[line["number"], "latency_ms"] == last["latency_ms"]
        assert table.loc[line["number"], "over_budget"] == (last["latency_ms"] > 8)
    assert (run.front["latency_ms"] <= 8).all()
    # Nothing is measured a third time when the run goes on and ends again.
    nas.resume(run.path)
    assert len(read_lines(run.path / "final.jsonl")) == len(finals)


def test_without_a_latency_budget_nothing_is_measured_twice(quick, tmp_path, clock):
    run = quick(tmp_path / "run", objectives=("accuracy", "latency"), trials=2)
    assert not (run.path / "final.jsonl").exists()
    assert not run.trials["over_budget"].any()


@pytest.mark.parametrize("sampler", NAMES)
def test_a_budget_that_hardly_any_architecture_meets_is_searched(sampler, quick, tmp_path):
    """The smallest networks of `mobile` have about 2 M MACs, the median has 57 M."""
    recipe = replace(RECIPE, subset=40)
    settings = {"space": "mobile", "budget": "3M-flops", "recipe": recipe, "sampler": sampler}
    run = quick(tmp_path / "run", trials=2, **settings)
    check_whole(run, 2)


def test_a_network_that_cannot_be_timed_is_passed_over(quick, tmp_path, clock, monkeypatch):
    real = latencies.measure

    def measure(graph, **settings):
        if clock.measured == 7:
            clock.measured += 1
            raise RuntimeError("the engine refuses it")
        return real(graph, **settings)

    monkeypatch.setattr(latencies, "measure", measure)
    run = quick(tmp_path / "run", budget="8ms-latency", trials=3, sampler="random")
    check_whole(run, 3)
    reasons = [line["error"] for line in read_lines(run.path / "rejected.jsonl")]
    assert "RuntimeError: the engine refuses it" in reasons
