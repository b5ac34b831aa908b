"""The data behind each figure, by hand, and what the figures make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from scipy.stats import kendalltau
from test_run import trial

import nas
from nas import figures, insight
from nas.insight.design import varied
from nas.insight.search import climbed
from nas.pick import assess, candidates
from nas.ranking import tau
from nas.records import STOPPED
from nas.run import frame
from nas.scores import SCORES

REFERENCE = Path(__file__).parent.parent / "results" / "reference"


@pytest.fixture(scope="module")
def sampled() -> nas.Run:
    """The random sample that the notebooks show."""
    return nas.load(REFERENCE / "random")


@pytest.fixture(scope="module")
def searched() -> nas.Run:
    return nas.load(REFERENCE / "searched")


def table(*rows: tuple[float, int, str]) -> pd.DataFrame:
    """A table of trials of (accuracy, MACs, family), of 10,000 images each."""
    trials = [trial(n, accuracy, macs) for n, (accuracy, macs, _) in enumerate(rows)]
    return frame(trials).assign(family=[family for *_, family in rows])


def drawn(figure: Figure, axes: int = 0) -> int:
    """The number of points in a panel."""
    collections = figure.axes[axes].collections
    return sum(len(c.get_offsets()) for c in collections if isinstance(c, PathCollection))


# The space ---------------------------------------------------------------------------------------


def test_error_distributions_by_hand():
    known = table((0.9, 1, "a"), (0.7, 1, "a"), (0.8, 1, "b"))
    found = insight.error_distribution(pd.concat([known, frame([trial(9, None, 1)])]))
    a = found[found["family"] == "a"]
    assert list(a["error"]) == pytest.approx([0.1, 0.3])
    assert list(a["share"]) == [0.5, 1.0] and set(a["networks"]) == {2}
    axes = figures.plot_error_distribution(found).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["a (2)", "b (1)"]


def test_the_winner_is_the_best_within_the_budget():
    found = insight.winners(table((0.5, 10, "a"), (0.7, 100, "b"), (0.6, 1000, "a")), "macs")
    assert found.sum(axis=1).to_numpy() == pytest.approx(1)
    assert list(found.columns) == ["a", "b"] and found.index.name == "macs"
    assert (found.loc[found.index < 100, "a"] == 1).all()
    assert (found.loc[found.index >= 100, "b"] == 1).all()


def test_equals_win_half_of_the_time():
    found = insight.winners(table((0.6, 10, "a"), (0.6, 10, "b")), "macs")
    assert found.iloc[-1]["a"] == pytest.approx(0.5, abs=0.03)
    axes = figures.plot_winners(found).axes[0]
    assert axes.get_ylim() == (0, 1) and len(axes.collections) == 2


def test_importances_find_the_parameter_that_matters():
    trials = []
    for n in range(40):
        one = trial(n, 0.5 + 0.1 * (n % 2) + 0.001 * (n % 5), 10)
        trials.append(replace(one, params={"width": n % 2, "kernel": n % 3, "fixed": 1}))
    known = frame(trials)
    assert varied(known) == ["kernel", "width"]
    found = insight.importances(known)
    assert list(found.columns) == ["fANOVA", "impurity", "PED-ANOVA"]
    assert (found.idxmax() == "width").all()
    assert found.sum().to_numpy() == pytest.approx(1)
    axes = figures.plot_importances(found).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["kernel", "width"]


def test_marginal_effects_by_hand():
    known = table((0.4, 1, "a"), (0.6, 1, "a"), (0.9, 1, "b")).assign(
        **{"params.width": [8, 8, 16]}
    )
    found = insight.effects(known, ["width"])
    assert list(found["value"]) == [8, 16] and list(found["networks"]) == [2, 1]
    assert list(found["mean"]) == pytest.approx([0.5, 0.9])
    assert found["error"][0] == pytest.approx(0.1) and np.isnan(found["error"][1])
    figure = figures.plot_effects(found)
    assert drawn(figure) == 2
    low, high = figure.axes[0].get_ylim()
    assert low < 0.4 + 1e-9 and high > 0.9  # a single network has no error, and is in sight


@pytest.mark.parametrize("proxy", ["shared", "zero-cost"])
def test_axes_say_what_a_run_ranks_by(proxy):
    score = SCORES[proxy]
    known = table((0.4, 1, "a"), (0.6, 1, "a"), (0.9, 2, "b")).assign(
        **{"params.width": [8, 8, 16]}
    )
    ranks = pd.DataFrame({"fANOVA": [1.0]}, index=["width"])
    errors = figures.plot_error_distribution(insight.error_distribution(known), score=score)
    effects = figures.plot_effects(insight.effects(known, ["width"]), score=score)
    importances = figures.plot_importances(ranks, score=score)
    costs = figures.plot_effects(insight.effects(known, ["width"], "macs"), "macs", score)
    assert costs.axes[0].get_ylabel() == "multiply–accumulates"
    for figure, axis in ((errors, "x"), (effects, "y"), (importances, "x")):
        figure.draw_without_rendering()
        label = getattr(figure.axes[0], f"{axis}axis").label
        assert label.get_text().replace("\n", " ").endswith(score.label)
        low, high = label.get_window_extent().get_points()
        assert (low >= 0).all() and (high <= figure.bbox.size).all()


@pytest.mark.parametrize("names", [["macs"], ["macs", "params"]], ids=len)
def test_histograms_hold_every_network(names, sampled):
    figure = figures.plot_costs(sampled.trials, names)
    for axes, name in zip(figure.axes, names, strict=True):
        top = {}
        for bar in axes.patches:
            place = round(bar.get_x(), 9)
            top[place] = max(top.get(place, 0), bar.get_y() + bar.get_height())
        assert sum(top.values()) == len(sampled.trials), name


# Latency -----------------------------------------------------------------------------------------


def test_estimates_have_not_seen_what_they_estimate(sampled):
    found = insight.estimates(sampled.trials)
    assert len(found) == len(sampled.trials)
    assert (found["estimate_low"] < found["estimate"]).all()
    assert tau(found["estimate"], found["latency_ms"]) > 0.6
    assert (found["estimate"] != found["latency_ms"]).all()
    assert drawn(figures.plot_estimates(found)) == len(found)


def test_counts_against_latency(sampled):
    figure = figures.plot_against_latency(sampled.trials, ["macs", "params"])
    assert [drawn(figure, i) for i in (0, 1)] == [len(sampled.trials)] * 2
    order = kendalltau(sampled.trials["params"], sampled.trials["latency_ms"]).statistic
    assert figure.axes[1].get_title() == f"τ = {order:.2f}"


# The search --------------------------------------------------------------------------------------


def test_hypervolumes_grow_to_the_runs_own(searched, sampled):
    found = insight.volumes([searched, sampled])
    assert list(found.columns) == ["searched", "random"] and found.index[0] == 1
    for name in found:
        assert found[name].dropna().is_monotonic_increasing
    assert found["searched"].dropna().iloc[-1] == pytest.approx(searched.hypervolume)
    assert len(figures.plot_volumes(found).axes[0].lines) == 2


def test_rungs_stop_what_is_surely_no_better(sampled):
    whole = sampled.records[0]
    best = [replace(t, result=replace(t.result, score=0.99)) for t in sampled.records]
    same = climbed(whole, (1,), [], sampled.objectives)
    assert same is whole  # of few others nothing is known
    slow = replace(whole, latency=whole.latency | {"latency_ms": 100.0})
    stopped = climbed(slow, (1, 2), best, sampled.objectives)
    assert stopped.state == STOPPED and len(stopped.result.curve) == 1


def test_replayed_rungs_leave_a_row_a_trial(sampled):
    found = insight.replay_rungs(sampled, (1, 2))
    assert list(found["number"]) == list(range(len(sampled.records)))
    assert set(found["epochs"]) <= {1, 2, 4}
    assert ((found["epochs"] == 4) == (found["state"] == "complete")).all()
    bars = figures.plot_epochs(found).axes[0].patches
    assert sorted(bar.get_height() for bar in bars) == sorted(found["epochs"])


def test_agreement_is_kendalls_tau_with_the_end(sampled):
    found = insight.agreement(sampled)
    losses = [record.result.curve[1] for record in sampled.records]
    ends = [record.result.accuracy for record in sampled.records]
    assert found["tau"][2] == pytest.approx(-kendalltau(losses, ends).statistic)
    assert (found["low"] <= found["tau"]).all() and (found["tau"] <= found["high"]).all()
    (line, _) = figures.plot_agreement(found).axes[0].lines
    assert list(line.get_ydata()) == list(found["tau"])


# The front ---------------------------------------------------------------------------------------


def test_chances_are_shades(searched):
    found = assess(candidates([searched]), searched.budget, "latency")
    knee = found[found["front"]]["network"].iloc[0]
    axes, bar = figures.plot_chances(found, "latency", knee).axes
    dots = next(c for c in axes.collections if isinstance(c, PathCollection))
    assert list(dots.get_array()) == list(found["on_front"])
    assert [text.get_text() for text in axes.texts] == ["knee"]
    assert "probability" in bar.get_ylabel()


# What is committed -------------------------------------------------------------------------------


def test_the_reference_runs_are_small_and_hold_no_path_of_a_machine():
    files = [path for path in REFERENCE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        text = path.read_text()
        assert "/home" not in text and "/root" not in text, path
