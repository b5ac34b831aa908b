"""What a report holds; test_report_browser.py looks at the page in a browser."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace

import pytest

import nas
from nas.analysis.stages import count_stages
from nas.cost import cost
from nas.records import (
    BASELINES,
    CONFIRMED,
    FAILED,
    STOPPED,
    TRIALS,
    append_line,
    locked,
    write_atomic,
)
from nas.report import data, render, report_data
from nas.report.page import json_in_html

NASTY = "</script><img src=x onerror=alert(1)> \"double\" 'single' & \u2028"

LATENCY = {"latency_ms": 2.0, "low": 1.9, "high": 2.1, "noisy": False}
LATENCY |= {"cpu": "EPYC", "backend": "onnxruntime", "threads": 1}


@pytest.fixture
def run(finished, tmp_path) -> nas.Run:
    """The finished run with two baselines, one of which could not be trained."""
    folder = tmp_path / "run"
    shutil.copytree(finished.path, folder)
    first = replace(finished.records[0], number=-1, name="mobilenet_v2_x0_25")
    for record in (first, replace(first, name="inception_v3", result=None, arch={})):
        append_line(folder / BASELINES, record.to_json())
    return nas.load(folder)


def embedded(page: str) -> dict:
    """The data of a page, as a browser reads them."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


# Data --------------------------------------------------------------------------------------------


def test_every_trial_is_a_point_and_the_front_is_marked(run):
    points = report_data([run])["points"]
    found = [point for point in points if "published" not in point]
    assert [point["number"] for point in found] == list(range(8))
    assert {p["number"] for p in found if p["front"]} == set(run.front["number"])
    assert [p["name"] for p in points if "published" in p] == ["mobilenet_v2_x0_25", "inception_v3"]
    for point, (_, row) in zip(found, run.trials.iterrows(), strict=True):
        assert point["values"]["accuracy"] == pytest.approx(row["accuracy"], rel=1e-5)
        low, high = point["bounds"]["accuracy"]
        assert low < row["accuracy"] < high
        assert "latency" not in point["values"]
        assert 0 <= point["chance"] <= 1


def test_points_hold_what_their_diagram_needs(run, tmp_path):
    point = report_data([run])["points"][3]
    arch = run.architecture(3)
    (tmp_path / "arch.yaml").write_text(point["yaml"])
    assert nas.Architecture.from_yaml(tmp_path / "arch.yaml") == arch
    assert [s["path"] for s in point["stages"]] == [
        "stem",
        "stages.0",
        "stages.1",
        "stages.2",
        "head",
    ]


def test_stages_sum_up_to_the_network(run):
    for arch in run.trials["architecture"]:
        stages, whole = count_stages(arch), cost(arch)
        assert sum(stage.macs for stage in stages) == whole.macs
        assert sum(stage.params for stage in stages) == whole.params
        assert stages[-1].shape == (arch.classes, 1, 1)
        assert [s.depth for s in stages[1:-1]] == [stage.depth for stage in arch.stages]


def test_diagrams_are_left_out_where_there_are_very_many(run, monkeypatch):
    whole = render(report_data([run]))
    monkeypatch.setattr(data, "ROOM", 7000)
    found = report_data([run])
    drawn = [point for point in found["points"] if "yaml" in point]
    assert 0 < len(drawn) < 8 and drawn[0]["front"]
    assert len(render(found)) < len(whole)


def test_notes_follow_from_the_records(run):
    (described,) = report_data([run])["runs"]
    notes = " ".join(described["notes"])
    assert "those of 1 epoch on" in notes and "359 validation images" in notes
    assert "No latency was measured" in notes and "failed" not in notes
    failed = replace(run.records[0], number=8, state=FAILED, result=None, error="Diverged")
    append_line(run.path / TRIALS, failed.to_json())
    (described,) = report_data([nas.load(run.path)])["runs"]
    assert described["notes"][-1] == "1 trial failed, the last one by: Diverged"


def test_longer_trainings_stand_beside_the_search(run):
    right = {"score": 0.9, "score_error": math.nan}  # which is then that of an accuracy
    longer = [replace(t, result=replace(t.result, **right)) for t in run.records[:4]]
    for trial in longer:
        append_line(run.path / CONFIRMED, trial.to_json())
    found = report_data([nas.load(run.path)])
    notes = " ".join(found["runs"][0]["notes"])
    assert "Longer trainings of candidates" in notes and "trial 3 90.00 ± 1.58 %" in notes
    assert "order these 4 with τ 0.00" in notes
    assert [point.get("confirmed") for point in found["points"][:5]] == [0.9] * 4 + [None]


def test_notes_of_shared_weights_estimates_and_stopped_trials(run):
    rewritten = []
    for trial in run.records:
        latency = LATENCY | ({"source": "estimated"} if trial.number < 3 else {})
        result = replace(trial.result, curve=())
        rewritten.append(replace(trial, result=result, latency=latency))
    rewritten[-1] = replace(rewritten[-1], state=STOPPED)
    write_atomic(run.path / TRIALS, "".join(trial.to_json() + "\n" for trial in rewritten))
    shared = nas.load(run.path)
    shared.info["task"]["proxy"] = "shared"
    notes = " ".join(report_data([shared])["runs"][0]["notes"])
    assert "parts of one network, which was trained for all" in notes
    assert "was trained once here" not in notes and "epoch" not in notes
    assert "measured (3 of 7 estimated) on EPYC" in notes
    assert "1 trial stopped at a rung" in notes


def test_a_run_says_how_far_it_has_come(run):
    assert data.progress(run) == "8 trials"
    run.info["settings"]["trials"] = 20
    assert data.progress(run) == "ended after 8 of 20 trials"
    with locked(run.path):
        assert data.progress(run) == "still going: 8 of 20 trials so far"


def test_runs_of_other_tasks_are_not_to_be_compared(run, finished):
    assert report_data([run, finished])["notes"] == []
    run.info["task"]["id"] = "other"
    (note,) = report_data([run, finished])["notes"]
    assert note.startswith("Not to be compared: ") and "equal data" in note


# The page ----------------------------------------------------------------------------------------


def test_data_come_back_from_the_page_whatever_they_hold(run):
    run.info["settings"]["data"] = NASTY
    found = report_data([run])
    found["title"] = NASTY
    page = render(found)
    assert embedded(page) == json.loads(json.dumps(found))
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script") == 3


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "&lt;", "\u2028\u2029", "ü"])
def test_json_in_html_is_safe_and_whole(text):
    found = json_in_html({text: [text]})
    assert not set("<>&\u2028\u2029") & set(found)
    assert json.loads(found) == {text: [text]}


def test_commands_quote_what_a_shell_would_read(run, tmp_path):
    folder = tmp_path / "it's; a <b>run"
    shutil.copytree(run.path, folder)
    point = report_data([nas.load(folder)])["points"][0]
    assert point["shell"] == f"'{tmp_path}/it'\"'\"'s; a <b>run:0'"


def test_the_page_loads_nothing(run):
    page = render(report_data([run]))
    outside = page.replace("http://www.w3.org/", "")
    assert not re.findall(r'(?:src|href)="', outside[: outside.index("<script>")])
    assert "default-src &#x27;none&#x27;" in page
    assert len(page.encode()) < 6e6


def test_report_writes_a_file(cli, run, tmp_path):
    found = cli("report", run.path, run.path, "--out", tmp_path / "r.html")
    assert (found.code, found.err) == (0, "")
    assert " MB; open it in a browser" in found.out
    assert len(embedded((tmp_path / "r.html").read_text())["points"]) == 20


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--out", "report.pdf"], "expected an .html file"),
        (["--out", "none/report.html"], "there is no folder"),
    ],
)
def test_report_refuses_where_it_cannot_write(flags, part, cli, run):
    found = cli("report", run.path, *flags)
    assert found.code == 2 and part in found.err


def test_a_run_without_a_finished_trial_is_refused(cli, run):
    write_atomic(run.path / TRIALS, "")
    found = cli("report", run.path)
    assert found.code == 2 and "no finished trial to report yet" in found.err
    assert found.err.count("\n") == 1


def test_a_line_that_is_being_written_is_left_out(cli, run):
    with (run.path / TRIALS).open("a") as file:
        file.write('{"number": 8, "id"')
    assert cli("report", run.path).code == 0
