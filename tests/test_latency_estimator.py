"""Latency learnt from whole networks: of a device that we make up, and of one that was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from math import inf, nan

import numpy as np
import pytest
from devices import device_ms, noisy, recorded, sampled
from scipy.stats import kendalltau

import nas
from nas.arch import Architecture
from nas.errors import InputError
from nas.graph import Graph, record
from nas.latency import LatencyEstimator
from nas.latency.features import kernels_of
from nas.latency.fitting import choose_centres, fit_rates
from nas.latency.regression import likeness
from nas.latency.sample import sample_networks
from nas.layers import Module
from nas.reference import load


@pytest.fixture(scope="module")
def fitted() -> LatencyEstimator:
    """An estimator of the device that we made up, from 120 networks."""
    return LatencyEstimator.fit(sampled(120), noisy(sampled(120), 0.03))


# A device that we make up ------------------------------------------------------------------------


def test_estimates_of_networks_that_were_left_out(fitted):
    graphs = (*sampled(60, seed=1), load("mobilenet_v2_x1_0"), load("shufflenet_v1_g3_x1_0"))
    found = [fitted.predict(graph) for graph in graphs]
    truth = np.array([device_ms(graph) for graph in graphs])
    assert np.mean(abs(np.array([e.ms for e in found]) / truth - 1)) < 0.05
    measured = noisy(graphs, 0.03, seed=1)
    covered = [e.low <= ms <= e.high for e, ms in zip(found, measured, strict=True)]
    assert np.mean(covered) >= 0.9
    assert np.median([e.high / e.ms for e in found]) < 1.3
    assert all(e.low < e.ms < e.high for e in found)


def test_the_width_of_the_devices_registers_is_found():
    graphs = sampled(60)
    for lanes in (8, 16):
        assert LatencyEstimator.fit(graphs, noisy(graphs, 0.01, lanes)).lanes == lanes


def test_any_unit_will_do(fitted):
    graph = sampled(1, seed=5)[0]
    seconds = [ms / 1e3 for ms in noisy(sampled(120), 0.03)]
    assert LatencyEstimator.fit(sampled(120), seconds).predict(graph).ms == pytest.approx(
        fitted.predict(graph).ms / 1e3, rel=0.02
    )


def test_few_networks_make_an_unsure_estimator(fitted):
    graph = load("mobilenet_v2_x1_0")
    few = LatencyEstimator.fit(sampled(8), noisy(sampled(8), 0.03)).predict(graph)
    assert few.high / few.low > fitted.predict(graph).high / fitted.predict(graph).low
    assert few.low <= device_ms(graph) <= few.high


def test_an_estimate_is_reproducible(fitted):
    again = LatencyEstimator.fit(sampled(120), noisy(sampled(120), 0.03))
    graph = sampled(1, seed=5)[0]
    assert again.predict(graph) == fitted.predict(graph)


# What was never seen -----------------------------------------------------------------------------


def plain(act: str, times: int = 4) -> Graph:
    """A small network with an activation so many times."""

    def network(x):
        x = x.conv(32, 3, 2)
        for _ in range(times):
            x = x.activate(act)
        return x.global_pool().linear(9)

    return record((3, 96, 96), network)


def test_a_primitive_that_no_network_had_is_named_and_widens_the_interval(fitted):
    known, new = fitted.predict(plain("hswish")), fitted.predict(plain("silu"))
    assert fitted.unseen(plain("hswish")) == ()
    assert fitted.unseen(plain("silu")) == ("silu",)
    assert new.high / new.low > 1.2 * known.high / known.low
    assert new.low <= device_ms(plain("silu")) <= new.high


def test_the_more_of_the_time_is_unknown_the_less_is_sure(fitted):
    estimates = [fitted.predict(plain("silu", times)) for times in (1, 4, 16)]
    spans = [estimate.high / estimate.low for estimate in estimates]
    assert spans == sorted(spans)


def test_a_users_torch_module_is_unknown_too(fitted):
    graph = record((3, 32, 32), lambda x: x.conv(8).global_pool().linear(3))
    entry, (_, inputs, shape, path), *rest = graph.items
    own = Module(factory=plain, out=shape, params=10, measured_macs=1000)
    assert fitted.unseen(Graph((entry, (own, inputs, shape, path), *rest))) == (
        "module plain.plain",
    )


# A device that was measured ----------------------------------------------------------------------


def judged(estimator: LatencyEstimator) -> tuple[np.ndarray, np.ndarray, float]:
    """Estimates and times of the networks that were left out, and the share inside the bounds."""
    networks = [*recorded()["random"], *recorded()["published"]]
    found = [estimator.predict(graph) for graph, _ in networks]
    ms = np.array([ms for _, ms in networks])
    inside = [e.low <= t <= e.high for e, t in zip(found, ms, strict=True)]
    return np.array([e.ms for e in found]), ms, float(np.mean(inside))


def test_recorded_networks_that_were_left_out():
    estimator = LatencyEstimator.fit(*zip(*recorded()["build"], strict=True))
    estimates, ms, covered = judged(estimator)
    errors = abs(estimates / ms - 1)
    assert len(ms) >= 160
    assert errors.mean() <= 0.07  # of times whose own error is 0.046
    assert (errors <= 0.1).mean() >= 0.79
    assert kendalltau(estimates, ms).statistic >= 0.95
    assert covered >= 0.9


def test_a_hundred_recorded_networks_are_enough_to_begin_with():
    estimates, ms, covered = judged(
        LatencyEstimator.fit(*zip(*recorded()["build"][:100], strict=True))
    )
    assert abs(estimates / ms - 1).mean() <= 0.12
    assert covered >= 0.9


# Files -------------------------------------------------------------------------------------------


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "estimator.json")
    return tmp_path / "estimator.json"


def test_what_is_saved_estimates_the_same(fitted, saved):
    loaded = LatencyEstimator.load(saved)
    for graph in sampled(20, seed=2):
        assert loaded.predict(graph) == pytest.approx(fitted.predict(graph), rel=1e-5)
    assert saved.stat().st_size < 250_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-100], "not JSON: cut"),
        (lambda text: text.replace('"spread": ', '"spread": 1'), "altered since it was written"),
        (lambda text: text.replace('"checksum"', '"sum"'), "altered since it was written"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "reads format 1, got 2"),
        (lambda text: text.replace("latency estimator", "recipe"), "expected latency estimator"),
        (lambda text: "[]", "expected latency estimator"),
        (lambda text: "", "not JSON"),
    ],
    ids=["cut", "altered", "no-checksum", "format", "kind", "list", "empty"],
)
def test_a_file_that_was_cut_or_altered_is_refused(change, message, saved):
    saved.write_text(change(saved.read_text()))
    with pytest.raises(InputError, match=message):
        LatencyEstimator.load(saved)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        LatencyEstimator.load(tmp_path / "none.json")


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, -1.0, nan, inf], ids=str)
def test_times_must_be_above_zero(bad):
    with pytest.raises(InputError, match=rf"network 3: expected a time above zero, got {bad} ms"):
        LatencyEstimator.fit(sampled(8), [1.0, 1.0, 1.0, bad, 1.0, 1.0, 1.0, 1.0])


def test_there_must_be_a_time_for_each_network_and_enough_of_them():
    with pytest.raises(InputError, match="got 8 networks, but 7 times"):
        LatencyEstimator.fit(sampled(8), [1.0] * 7)
    with pytest.raises(InputError, match="expected 8 networks or more, got 7"):
        LatencyEstimator.fit(sampled(7), [1.0] * 7)


def test_estimating_imports_neither_torch_nor_scipy(saved):
    code = f"""
import sys, nas
graph = nas.load_space("tiny")
graph = nas.trace(graph.architecture(graph.sample(__import__("random").Random(0))))
nas.LatencyEstimator.load({str(saved)!r}).predict(graph)
sys.exit(bool({{"torch", "scipy", "onnxruntime"}} & sys.modules.keys()))
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Its parts ---------------------------------------------------------------------------------------


def kinds(network) -> set[str]:
    graph = record((16, 28, 28), network)
    return set(kernels_of(graph, 16).kinds) - {"run"}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (lambda x: x.conv(24), {"reorder", "pointwise"}),
        (lambda x: x.conv(24, 3), {"reorder", "standard"}),
        (lambda x: x.depthwise(3), {"reorder", "depthwise"}),
        (lambda x: x.slice(0, 14).depthwise(3), {"slice.plain", "depthwise.plain"}),
        (lambda x: x.slice(0, 8).conv(24), {"slice.plain", "narrow"}),
        (lambda x: x.conv(24, groups=2), {"grouped-pointwise.plain"}),
        (lambda x: x.conv(32, 3).conv(32, 3, groups=2), {"reorder", "standard"}),
        (lambda x: x.conv(16, act="hswish"), {"reorder", "pointwise", "hswish"}),
        (
            lambda x: x.conv(16).shuffle(2),
            {"reorder", "pointwise", "reorder.plain", "shuffle.plain"},
        ),
        (lambda x: x.global_pool().conv(8), {"globalpool-avg.plain", "reorder", "vector"}),
    ],
    ids=["1x1", "3x3", "dw", "dw-14", "narrow", "grouped", "blocks", "act", "shuffle", "vector"],
)
def test_the_kernels_of_layers(network, expected):
    assert kinds(network) == expected


def test_a_map_is_reordered_once_for_all_who_read_it():
    def split(x):
        y = x.conv(32)
        return nas.graph.concat(y.slice(0, 16), y.slice(16, 32))

    found = kernels_of(record((16, 8, 8), split), 16)
    calls = [(kind, int(n)) for kind, n in zip(found.kinds, found.work[:, 0], strict=True)]
    assert calls.count(("reorder.plain", 1)) == 1 and calls.count(("slice.plain", 1)) == 2


def test_padded_channels_count_as_work():
    work = {}
    for width in (48, 49, 64):
        found = kernels_of(record((16, 8, 8), lambda x, w=width: x.conv(w)), 16)
        work[width] = found.work[found.kinds.index("pointwise"), 1]
    assert work[48] == 16 * 48 * 64 and work[49] == work[64]


def test_rates_are_found_and_never_negative():
    graphs = sampled(120)
    networks = [kernels_of(graph, 16) for graph in graphs]
    rates = fit_rates(networks, np.array(noisy(graphs, 0.0)))
    assert (rates.table >= 0).all()
    errors = [
        rates.times(n).sum() / device_ms(g) - 1 for n, g in zip(networks, graphs, strict=True)
    ]
    assert np.mean(np.abs(errors)) < 0.02


def test_centres_are_different_kernels_and_the_heaviest_comes_first():
    places = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 5.0], [100.0, 1.0]])
    chosen = choose_centres(places, np.array([0.1, 0.3, 0.35, 0.25]))
    assert chosen.tolist() == [[0.0, 1.0], [0.0, 5.0], [100.0, 1.0]]
    assert likeness(chosen, chosen)[0, 2] < 1e-15


def test_equal_seeds_draw_equal_networks_of_all_families():
    first, again = sample_networks(40), sample_networks(60)
    assert again[:40] == first
    assert len(set(again)) == 60
    blocks = {type(stage.block).__name__ for arch in again for stage in arch.stages}
    assert blocks >= {"ConvBlock", "Fire", "Ghost", "Inception", "InvertedResidual", "ShuffleV1"}
    assert all(Architecture.from_dict(json.loads(json.dumps(a.to_dict()))) == a for a in first)
