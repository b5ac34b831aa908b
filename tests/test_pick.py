"""`nas front --pick`: which network, why, and how sure."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace

import pytest

import nas
from nas import certainty
from nas.budget import Budget
from nas.cli import front
from nas.pick import RULES, assess, candidates, pick
from nas.records import TRIALS, write_atomic, write_json

FREE = Budget()


def altered(run: nas.Run, folder, *, info=None, **fields) -> nas.Run:
    """A copy of a run with other facts in run.json, and other fields of its trials."""
    shutil.copytree(run.path, folder)
    write_json(folder / "run.json", run.info | (info or {}))
    lines = [replace(trial, **fields).to_json() + "\n" for trial in run.records]
    write_atomic(folder / TRIALS, "".join(lines))
    return nas.load(folder)


@pytest.fixture
def timed(finished, tmp_path) -> nas.Run:
    """The finished run with latencies of 1 to 8 ms, each known to 1 %."""
    run = altered(finished, tmp_path / "timed", info={"latencies_of": {"cpu": "made up"}})
    keys = {"latency_ms": 1.0, "low": 0.99, "high": 1.01}
    lines = []
    for n, trial in enumerate(run.records, 1):
        latency = {key: n * value for key, value in keys.items()}
        lines.append(replace(trial, latency=latency).to_json() + "\n")
    write_atomic(run.path / TRIALS, "".join(lines))
    return nas.load(run.path)


def test_the_front_is_the_runs_own(finished):
    found = assess(candidates([finished]), FREE, "macs")
    assert list(found[found["front"]]["number"]) == list(finished.front["number"])
    assert found["on_front"].between(0, 1).all()
    assert found["macs"].is_monotonic_increasing


@pytest.mark.parametrize("rule", ["knee", "best", "fastest"])
def test_a_pick_is_on_the_front_and_names_the_next_cheaper_one(rule, finished):
    found = pick(candidates([finished]), FREE, "macs", rule)
    front = finished.front
    place = list(front["number"]).index(found.row["number"])
    ends = {"fastest": 0, "best": len(front) - 1}
    assert place == ends.get(rule, place)
    assert (found.cheaper is None) == (place == 0)
    if place:
        assert found.cheaper["number"] == front["number"][place - 1]
        assert found.better > 0.5
    assert sum(found.chances.values()) <= 1
    assert found.network == f"{finished.path}:{found.row['number']}"


def test_the_command_line_offers_every_rule():
    assert set(front.PICKS) == set(RULES) == set(certainty.RULES)


def test_front_picks(cli, finished):
    found = cli("front", finished.path, "--pick", "best")
    assert (found.code, found.err) == (0, "")
    first, why, sure, note, after = found.out.splitlines()
    best = finished.front.iloc[-1]
    assert first.startswith(f"{finished.path}:{best['number']}: ")
    assert "most accurate" in why and "truly the best with" in sure
    assert "359 validation images" in note
    assert after == f"Next: nas train {shlex.quote(first.split(': ')[0])}"


def test_accuracies_of_shared_weights_are_told(cli, finished, tmp_path):
    folder = tmp_path / "shared"
    shutil.copytree(finished.path, folder)
    parts = [replace(t, result=replace(t.result, curve=())) for t in finished.records]
    write_atomic(folder / TRIALS, "".join(trial.to_json() + "\n" for trial in parts))
    info = finished.info | {"task": finished.info["task"] | {"proxy": "shared"}}
    write_json(folder / "run.json", info)
    assert "of parts of one shared network" in cli("front", folder, "--pick", "best").out
    assert "of 1 epoch," in cli("front", finished.path, "--pick", "best").out


def test_a_pick_as_json(cli, finished):
    first, again = (cli("front", finished.path, "--pick", "knee", "--json").out for _ in range(2))
    assert first == again  # draws have a seed
    document = json.loads(first)
    assert document["rule"] == "knee" and document["network"] in document["picked"]
    assert [row["number"] for row in document["front"]] == list(finished.front["number"])
    row = document["front"][0]
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_the_front_says_how_likely_each_point_is_on_it(cli, finished):
    (found,) = json.loads(cli("front", finished.path, "--json").out)
    assert all(0 < row["on_front"] <= 1 for row in found["front"])
    assert "on the front" in cli("front", finished.path).out


def test_a_budget_needs_no_table(cli, timed):
    document = json.loads(
        cli("front", timed.path, "--x", "latency", "--budget", "4.5ms-latency", "--json").out
    )
    assert all(row["latency_ms"] <= 4.5 for row in document[0]["front"])
    words = ["front", timed.path, "--x", "latency", "--pick", "best", "--budget"]
    assert ":0: " in cli(*words, "1.5ms-latency").out
    refused = cli(*words, "0.1ms-latency")
    assert refused.code == 2 and "within 0.1ms-latency" in refused.err


def test_repeats_of_other_runs_count(cli, finished, tmp_path):
    again = altered(finished, tmp_path / "again", seed=7)
    found = pick(candidates([finished, again]), FREE, "macs", "best")
    assert found.row["repeats"] == 2
    out = cli("front", finished.path, again.path, "--pick", "best").out
    assert "359 validation images and 2 trainings" in out


@pytest.mark.parametrize(
    ("info", "flags", "part"),
    [
        (
            {"task": {"id": "other", "classes": []}},
            [],
            "expected equal data, recipe and resolution",
        ),
        ({"latencies_of": {"cpu": "other"}}, ["--x", "latency"], "latencies of one device"),
        ({"settings": "10M-macs"}, [], "expected equal budgets"),
    ],
    ids=["task", "device", "budget"],
)
def test_runs_that_cannot_be_compared_are_refused(info, flags, part, cli, timed, tmp_path):
    if "settings" in info:
        info = {"settings": timed.info["settings"] | {"budget": [info["settings"]]}}
    other = altered(timed, tmp_path / "other", info=info)
    refused = cli("front", timed.path, other.path, "--pick", "knee", *flags)
    assert refused.code == 2 and part in refused.err and "Traceback" not in refused.err
    assert refused.err.count("\n") == 1


def test_a_latency_budget_without_latencies_is_refused(cli, finished):
    refused = cli("front", finished.path, "--budget", "15ms-latency")
    assert refused.code == 2 and "no latency to hold against the budget" in refused.err
    assert cli("front", finished.path, "--pick", "slowest").code == 2
