"""A device's table: building it, reading it, searching with it, fronts of another device."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Spoken, wait_for
from devices import HERE, PHONE, device_ms, sampled, table_of

import nas
from nas import latencies
from nas.budget import Budget
from nas.device_run import DeviceRun, Region, promising, regions
from nas.errors import InputError
from nas.gate import Gate
from nas.latency import DeviceTable, Latency, backends
from nas.latency.build import build_table, read_log
from nas.latency.sample import sample_networks
from nas.latency.sealed import write_sealed
from nas.latency.stopwatch import caller_time
from nas.records import read_lines
from nas.space_file import load_space


@pytest.fixture
def here(tmp_path):
    """The file of a table of this machine."""
    table_of(HERE).save(tmp_path / "here.json")
    return tmp_path / "here.json"


@pytest.fixture
def phone(tmp_path):
    table_of(PHONE).save(tmp_path / "phone.json")
    return tmp_path / "phone.json"


# A table and its file ----------------------------------------------------------------------------


def test_a_table_is_read_as_it_was_written(here):
    table, loaded = table_of(HERE), DeviceTable.load(here)
    assert (loaded.device, loaded.reference_ms) == (HERE, 1.5)
    assert loaded.versions == {"nas-explorer": "0"}
    for graph in sampled(5, seed=3):
        assert loaded.latency(graph).latency_ms == pytest.approx(
            table.latency(graph).latency_ms, rel=1e-5
        )


def test_an_estimate_says_that_it_is_one():
    graph = nas.reference.load("mobilenet_v2_x1_0")
    found = table_of(PHONE).latency(graph)
    assert found.source == "estimated" and found.runs == 0 and not found.noisy
    assert found.low < found.latency_ms < found.high
    assert found.latency_ms == pytest.approx(device_ms(graph), rel=0.15)
    assert found.ratio == pytest.approx(found.latency_ms / 1.5)
    assert (found.backend, found.threads, found.cpu) == ("onnxruntime", 1, "Phone")
    assert Latency(**found.to_dict()) == found


def test_an_estimate_with_an_unknown_primitive_is_flagged():
    graph = nas.graph.record((3, 32, 32), lambda x: x.conv(32, act="silu").global_pool().linear(9))
    assert table_of(PHONE).latency(graph).noisy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "not JSON: cut"),
        (lambda text: text.replace("Phone", "Watch"), "altered since it was written"),
        (lambda text: text.replace('"threads": 1', '"threads": 2'), "altered since it was written"),
        (lambda text: text.replace("device table", "table"), "expected device table"),
    ],
    ids=["cut", "cpu", "threads", "kind"],
)
def test_a_table_that_was_cut_or_altered_is_refused(change, message, phone, cli):
    phone.write_text(change(phone.read_text()))
    with pytest.raises(InputError, match=message):
        DeviceTable.load(phone)
    found = cli("search", "--space", "tiny", "--latency-table", phone)
    assert found.code == 2 and found.err.count("\n") == 1 and str(phone) in found.err


@pytest.mark.parametrize(
    "content",
    [{}, {**HERE.to_dict(), "estimator": {}}, {**HERE.to_dict(), "threads": "two"}],
    ids=["nothing", "no-estimator", "threads"],
)
def test_wrong_content_under_a_right_checksum_is_refused(content, tmp_path):
    write_sealed(tmp_path / "device.json", "device table", content)
    with pytest.raises(InputError, match=r"device\.json: "):
        DeviceTable.load(tmp_path / "device.json")


# Building ----------------------------------------------------------------------------------------


def log_of(out):
    return out.with_suffix(".jsonl")


def rounds(log):
    return [(line["round"], line["network"]) for line in read_lines(log)[1:]]


def test_a_build_measures_this_machine(tmp_path, own_lock):
    out = tmp_path / "device.json"
    table = build_table(out, networks=8, rounds=2)
    assert table.device == HERE and table.estimator.networks == 8
    assert table.reference_ms > 0 and table.versions.keys() >= {"nas-explorer", "onnxruntime"}
    assert rounds(log_of(out)) == [(r, n) for r in range(2) for n in range(8)]
    measured = read_log(log_of(out))
    assert list(measured.networks) == sample_networks(8)
    assert all(ms > 0 for own in measured.ms for ms in own)
    before = log_of(out).read_bytes()
    assert build_table(out, networks=8, rounds=2).estimator.to_dict() == table.estimator.to_dict()
    assert log_of(out).read_bytes() == before


def test_a_build_that_was_killed_goes_on(tmp_path, spawn, own_lock):
    out = tmp_path / "device.json"
    process = spawn("latency", "build", "--networks", 8, "--out", out)
    wait_for(lambda: log_of(out).exists() and len(read_lines(log_of(out))) > 3, process)
    process.kill()
    process.wait()
    assert not out.exists()
    with log_of(out).open("a") as log:
        log.write('{"network": 5, "rou')
    before = [json.dumps(line) for line in read_lines(log_of(out))]
    assert build_table(out, rounds=1).estimator.networks == 8  # of the log, not of the default
    after = [json.dumps(line) for line in read_lines(log_of(out))]
    assert after[: len(before)] == before
    assert rounds(log_of(out)) == [(0, n) for n in range(8)]


def test_a_log_of_another_device_is_refused(tmp_path, own_lock):
    out = tmp_path / "device.json"
    head = {"kind": "latency measurements", "format": 1, "reference_ms": 1.5, "networks": []}
    log_of(out).write_text(json.dumps({**head, **PHONE.to_dict()}) + "\n")
    with pytest.raises(InputError, match=r"another device \(cpu Phone, not .*\); name another"):
        build_table(out)


@dataclass(frozen=True)
class Picky:
    """An engine that runs small networks only."""

    def prepare(self, graph, threads, weights=None):
        if nas.cost(graph).params > 2e6:
            raise InputError("too large for it")
        return lambda: sum(range(1000))

    def stopwatch(self, threads):
        return caller_time


def test_networks_that_the_engine_cannot_run_are_left_out(tmp_path, own_lock, monkeypatch):
    monkeypatch.setitem(backends.BACKENDS, "picky", Picky())
    table = build_table(tmp_path / "device.json", backend="picky", networks=24, rounds=1)
    lines = read_lines(tmp_path / "device.jsonl")[1:]
    failed = [line["error"] for line in lines if "ms" not in line]
    assert set(failed) == {"too large for it"}
    assert table.estimator.networks == 24 - len(failed) > 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "device.txt"], "--out device.txt: expected a .json file"),
        (["--out", "d.json", "--networks", "7"], "--networks 7: expected 8 or more"),
        (["--out", "d.json", "--backend", "tpu"], "backend: unknown 'tpu'"),
        (["--out", "d.json", "--threads", "0"], "threads: expected at least 1, got 0"),
    ],
    ids=["suffix", "networks", "backend", "threads"],
)
def test_bad_requests_for_a_build(flags, message, cli):
    found = cli("latency", "build", *flags)
    assert found.code == 2 and message in found.err and found.err.count("\n") == 1


# Searching with a table --------------------------------------------------------------------------

TIMED = {"objectives": ("accuracy", "latency"), "resolution": 64}


def never(*_, **__):
    raise AssertionError("measured")


def sources(path, name):
    return [line["latency"]["source"] for line in read_lines(path / name)]


def test_a_search_estimates_and_measures_its_front(quick, tmp_path, here, own_lock):
    limit = 0.1
    run = quick(tmp_path / "run", latency_table=here, budget=f"{limit}ms-latency", **TIMED)
    assert sources(run.path, "trials.jsonl") == ["estimated"] * 4
    assert all(trial.latency["latency_ms"] <= limit for trial in run.records)
    assert not (run.path / "rejected.jsonl").exists()  # proposals over it were replaced for nothing
    assert set(sources(run.path, "final.jsonl")) == {"measured"}
    assert (run.front["latency_source"] == "measured").all()
    assert {line["latency"]["reference_ms"] for line in read_lines(run.path / "final.jsonl")} == {
        1.5
    }
    assert run.info["reference_ms"] == 1.5 and run.info["latencies_of"] == HERE.to_dict()
    others = run.trials[~run.trials["number"].isin(run.finals)]
    assert (others["latency_source"] == "estimated").all()
    assert "latency_source" in (run.path / "front.csv").read_text().splitlines()[0]


def test_a_run_goes_on_with_its_own_copy_of_the_table(quick, tmp_path, here, own_lock):
    run = quick(tmp_path / "run", latency_table=here, trials=2, **TIMED)
    here.unlink()
    again = nas.resume(run.path, trials=3)
    assert len(again.records) == 3 and again.records[:2] == run.records
    assert DeviceTable.load(run.path / "device.json").device == HERE


def test_a_table_of_another_device_is_refused(phone, here, cli, tmp_path):
    found = cli("search", "--space", "tiny", "--latency-table", phone, "--out", "run")
    assert (found.code, found.out) == (2, "")
    assert found.err == (
        f"nas: {phone}: a table of another device (cpu Phone, not {HERE.cpu}); "
        "--force-table takes it all the same, for estimates alone\n"
    )
    for flag, value, what in (
        ("--backend", "torch", "backend onnxruntime, not torch"),
        ("--threads", "2", "threads 1, not 2"),
    ):
        found = cli("search", "--space", "tiny", "--latency-table", here, flag, value)
        assert found.code == 2 and f"a table of another device ({what})" in found.err
    assert list(Path.cwd().iterdir()) == []


def test_a_search_for_another_device_measures_nothing_here(quick, tmp_path, phone, monkeypatch):
    monkeypatch.setattr(latencies, "measure", never)
    monkeypatch.setattr(latencies, "calibrate", never)
    spoken = Spoken()
    settings = {**TIMED, "latency_table": phone, "force_table": True, "trials": 2}
    run = quick(tmp_path / "run", baselines=("mobilenet_v2_x0_25",), progress=spoken, **settings)
    assert "latencies are estimates for Phone, onnxruntime, 1 thread" in spoken.said[0]
    assert spoken.said[0].endswith("nothing is measured here")
    assert (
        set(run.trials["latency_source"]) == {"estimated"} == set(run.baselines["latency_source"])
    )
    assert not (run.path / "final.jsonl").exists()
    assert len(nas.resume(run.path, trials=3).records) == 3


def test_a_limit_that_no_network_meets_names_the_device(quick, tmp_path, phone):
    with pytest.raises(
        InputError, match=r"cannot meet it on Phone, onnxruntime, 1 thread, the smal"
    ):
        quick(
            tmp_path / "run",
            latency_table=phone,
            force_table=True,
            budget="1us-latency",
            **TIMED,
        )
    assert not (tmp_path / "run").exists()


def test_a_table_has_its_part_only_where_latency_has(cli, here):
    found = cli(
        "search", "--space", "tiny", "--objectives", "accuracy,macs", "--latency-table", here
    )
    assert found.code == 2
    assert "--latency-table: expected latency among the objectives or the budgets" in found.err
    found = cli("search", "--space", "tiny", "--force-table")
    assert found.code == 2 and "--force-table: expected with --latency-table" in found.err


def test_a_primitive_that_the_table_never_saw_is_told(tmp_path, quick, phone):
    text = (
        "stem: {block: conv, width: 8, stride: 2, activation: silu}\n"
        "stages: [{block: conv, width: {choice: [8, 16]}, stride: 2}]\nhead: {head: classifier}\n"
    )
    (tmp_path / "silu.yaml").write_text(text)
    spoken = Spoken()
    settings = {**TIMED, "space": tmp_path / "silu.yaml", "trials": 1}
    run = quick(
        tmp_path / "run", latency_table=phone, force_table=True, progress=spoken, **settings
    )
    assert "no network of the table had silu" in spoken.said[1]
    assert run.records[0].latency["noisy"]


# The gate ----------------------------------------------------------------------------------------


def test_what_was_timed_spares_timing_what_is_far_too_slow():
    space, rejected, timed = load_space("mobile").bind(classes=10), [], []

    def stopwatch(graph):
        timed.append(graph)
        return replace(
            table_of(HERE).latency(graph), latency_ms=device_ms(graph), source="measured"
        )

    gate = Gate(space, Budget.parse("2ms-latency"), stopwatch, lambda *what: rejected.append(what))
    rng = random.Random(0)
    for _ in range(90):
        params = space.sample(rng)
        slow = device_ms(space.candidate(params).graph) > 2
        assert gate.admits(params) is not slow
        gate._slow = 0
    by_estimate = [latency for *_, latency in rejected if latency.source == "estimated"]
    assert len(by_estimate) > 10 and len(timed) + len(by_estimate) == 90
    assert all(latency.low > 2 for latency in by_estimate)


# Fronts of another device ------------------------------------------------------------------------


@pytest.fixture
def run(finished, phone):
    return DeviceRun(finished.path, DeviceTable.load(phone))


def test_an_old_run_for_another_device(run, finished):
    assert set(run.trials["latency_source"]) == {"estimated"}
    assert list(run.trials["accuracy"]) == list(finished.trials["accuracy"])
    for trial in run.records:
        estimate = run.table.estimator.predict(nas.trace(trial.architecture))
        assert trial.latency["latency_ms"] == estimate.ms
    middle = run.trials["latency_ms"].median()
    bounded = DeviceRun(run.path, run.table, (f"{middle}ms-latency",))
    found = nas.run.front(bounded.trials, ("accuracy", "latency"))
    assert len(found) > 0 and (found["latency_ms"] <= middle).all()
    assert bounded.trials["over_budget"].sum() == 4


def test_the_regions_are_the_gaps_of_the_front(run):
    limit = 1.2 * run.trials["latency_ms"].max()
    bounded = DeviceRun(run.path, run.table, (f"{limit}ms-latency",))
    found = regions(bounded)
    front = nas.run.front(bounded.trials, ("accuracy", "latency"))
    marks = [*front["latency_ms"], limit]
    assert [region.high for region in found] == [m for m in marks if m > found[0].low]
    assert all(left.high == right.low for left, right in pairwise(found))
    assert all(0 <= region.share <= 1 and region.gain >= 0 for region in found)
    assert sum(region.trials for region in found) == len(bounded.trials) - len(front)
    assert sum(region.share for region in found) >= 0.95
    low, high = front["accuracy"].iloc[-2:]
    assert found[-2].gain == pytest.approx((found[-2].high - found[-2].low) * (high - low))


def test_trials_that_tried_already_speak_against_a_region():
    wide = Region(1, 5, gain=4.0, trials=9, share=0.5)
    fresh = Region(5, 6, gain=1.0, trials=0, share=0.1)
    unreachable = Region(6, 9, gain=9.0, trials=0, share=0.0)
    assert promising([wide, fresh, unreachable]) == fresh
    assert promising([wide]) == wide
    assert promising([unreachable]) is None


def test_nas_front_for_another_device(finished, phone, cli):
    plot = Path("front.png").absolute()
    found = cli("front", finished.path, "--latency-table", phone, "--plot", plot)
    assert found.code == 0 and plot.exists()
    assert "Latencies are estimates for Phone, onnxruntime, 1 thread." in found.out
    assert "More trials would pay most from " in found.out
    (row,) = json.loads(cli("front", finished.path, "--latency-table", phone, "--json").out)
    assert row["device"] == PHONE.to_dict() and row["search"] in row["regions"]
    assert {point["latency_source"] for point in row["front"]} == {"estimated"}
    found = cli("front", finished.path, "--latency-table", phone, "--budget", "1us-latency")
    assert found.code == 2 and "no finished trial with latency and accuracy within 1us" in found.err
    found = cli("front", finished.path, "--budget", "1ms-latency")
    assert found.code == 2 and "no latency to hold against the budget" in found.err
