"""Latencies of searches in parallel: estimated while workers train, measured at the end."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from test_search import Spoken, check_whole, clock  # noqa: F401 a fixture

import nas
from nas import driver
from nas.errors import InputError
from nas.executors import Serial
from nas.executors.execution import Execution, Place
from nas.records import read_lines

LATENCY = {"objectives": ("accuracy", "latency"), "sampler": "random"}


@pytest.fixture
def parallel(monkeypatch):
    """As if trials ran beside each other, though they run here."""

    @contextmanager
    def opened(execution, blocks):
        yield Place(execution, lambda task, data, logs, watch: Serial(watch))

    monkeypatch.setattr(driver, "opened", opened)
    return Execution(workers=2)


def sources(run: nas.Run) -> list[str]:
    return [trial.latency["source"] for trial in run.records]


def test_workers_train_on_estimates_and_the_front_is_measured(quick, clock, parallel, tmp_path):
    spoken = Spoken()
    run = quick(tmp_path / "run", **LATENCY, trials=5, execution=parallel, progress=spoken)
    check_whole(run, 5)
    assert sources(run) == ["estimated"] * 5
    assert set(run.front["latency_source"]) == {"measured"}
    assert clock.measured == 8 + len(run.finals)  # a millisecond for a million multiply–adds
    assert run.records[0].latency["latency_ms"] == pytest.approx(
        run.records[0].cost["macs"] / 1e6, rel=0.3
    )
    assert spoken.said[0].startswith("timing networks of the space")
    again = nas.resume(run.path, trials=6)  # in series, by the same table
    assert sources(again) == ["estimated"] * 6


def test_what_began_in_series_goes_on_in_parallel(quick, clock, parallel, tmp_path):
    run = quick(tmp_path / "run", **LATENCY, trials=6)
    found = nas.resume(run.path, trials=9, execution=parallel)
    check_whole(found, 9)
    assert sources(found) == ["measured"] * 6 + ["estimated"] * 3
    assert clock.measured == 1 + 9 + len(read_lines(run.path / "final.jsonl"))
    assert (run.path / "device.json").exists()


def test_a_latency_budget_holds_for_estimates(quick, clock, parallel, tmp_path):
    run = quick(tmp_path / "run", **LATENCY, budget="8ms-latency", trials=4, execution=parallel)
    assert all(trial.latency["latency_ms"] <= 8 for trial in run.records)


def test_a_space_of_too_few_networks(quick, clock, parallel, tmp_path):
    (tmp_path / "one.yaml").write_text("""
stem: {block: conv, width: 8, stride: 2}
stages: [{block: depthwise_separable, stride: 2, width: 16}]
head: {head: classifier}
""")
    with pytest.raises(InputError, match="space one: expected 8 networks that can be timed"):
        quick(tmp_path / "run", **LATENCY, space=tmp_path / "one.yaml", execution=parallel)
    assert not (tmp_path / "run").exists()
