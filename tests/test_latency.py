"""Latency: the protocol on a simulated machine, and one measurement on the real one."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from nas.arch import graph_id
from nas.cost import cost
from nas.errors import InputError
from nas.graph import Graph, record
from nas.latency import Latency, backends, calibrate, measure, stopwatch, timing
from nas.latency.reference import reference
from nas.latency.stopwatch import Stopwatch, caller_time, wall_time
from nas.latency.timing import ROUNDS, interval

pytestmark = pytest.mark.usefixtures("own_lock")
SMALL = record((3, 32, 32), lambda x: x.conv(8, 3, 2).conv(16).global_pool().linear(10))
REFERENCE_MACS = cost(reference()).macs
REFERENCE_MS = REFERENCE_MACS / 1e7  # on the simulated machine


class Machine:
    """A clock that only runs of the fake engine move: one millisecond for every 10⁷ MACs.

    `slowdown(seconds, macs)` multiplies a run's CPU time, `elsewhere(seconds, macs)` is what the
    system takes from it, as a share of that.
    """

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0  # nanoseconds
        self.slowdown: Callable[[float, int], float] = lambda seconds, macs: 1.0
        self.elsewhere: Callable[[float, int], float] = lambda seconds, macs: 0.0

    def run(self, macs: int, pace: float) -> None:
        cpu = macs / 10 * pace * self.slowdown(self.wall / 1e9, macs)
        self.cpu += cpu
        self.wall += cpu * (1 + self.elsewhere(self.wall / 1e9, macs))

    def perf_counter_ns(self) -> int:
        return round(self.wall)

    def thread_time_ns(self) -> int:
        return round(self.cpu)

    process_time_ns = thread_time_ns


@dataclass(frozen=True, eq=False)
class FakeEngine:
    """`pace(seconds, macs)` multiplies the time of a network as it is prepared."""

    machine: Machine
    pace: Callable[[float, int], float] = lambda seconds, macs: 1.0
    prepared: list[int] = field(default_factory=list)  # MACs of the networks

    def prepare(self, graph: Graph, threads: int, weights: object = None) -> Callable[[], None]:
        macs = cost(graph).macs
        self.prepared.append(macs)
        pace = self.pace(0.0, macs)
        return lambda: self.machine.run(macs, pace)

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time


@pytest.fixture
def machine(monkeypatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(timing, "time", machine)
    monkeypatch.setattr(stopwatch, "time", machine)
    monkeypatch.setitem(backends.BACKENDS, "fake", FakeEngine(machine))
    return machine


def candidate(ratio: float) -> Graph:
    """A network of `ratio` times the reference's MACs."""
    width = round(ratio * REFERENCE_MACS / (64 * 64))
    return record((1, 64, 64), lambda x: x.conv(width))


def test_a_steady_machine_gives_the_exact_ratio(machine):
    graph = candidate(2.5)
    ratio = cost(graph).macs / REFERENCE_MACS
    latency = measure(graph, backend="fake", reference_ms=REFERENCE_MS)
    assert latency.ratio == pytest.approx(ratio)
    assert latency.latency_ms == pytest.approx(ratio * REFERENCE_MS)
    assert latency.low == pytest.approx(latency.high) == latency.latency_ms
    assert latency.raw_ms == pytest.approx(cost(graph).macs / 1e7) == latency.cpu_ms
    assert latency.runs == 20 and not latency.noisy
    assert (latency.backend, latency.threads, latency.source) == ("fake", 1, "measured")
    assert latency.reference_ms == REFERENCE_MS


def test_small_networks_run_several_times_a_block(machine):
    runs_a_block = round(timing.TURN_MS / (0.01 * REFERENCE_MS))
    assert runs_a_block > 20
    assert measure(candidate(0.01), backend="fake", blocks=20).runs == 20 * runs_a_block


def test_without_calibration_the_references_own_time_stands_in(machine):
    latency = measure(candidate(2), backend="fake")
    assert latency.reference_ms == pytest.approx(REFERENCE_MS)
    assert latency.latency_ms == pytest.approx(latency.raw_ms)


def test_drift_cancels_and_much_of_it_is_told(machine):
    found = []
    for share in (0.02, 0.2):
        machine.slowdown = lambda seconds, macs, share=share: 1 + share * seconds
        found.append(measure(candidate(2), backend="fake", reference_ms=REFERENCE_MS, blocks=60))
    little, much = found
    assert little.ratio == pytest.approx(2, rel=0.005) == much.ratio
    assert much.raw_ms > 1.2 * little.raw_ms > 1.2 * 2 * REFERENCE_MS
    assert not little.noisy and much.noisy


def test_time_that_others_take_does_not_count_but_is_told(machine):
    # The longer run always loses the core in its middle, the shorter one never does.
    machine.elsewhere = lambda seconds, macs: float(macs > REFERENCE_MACS)
    latency = measure(candidate(2), backend="fake", reference_ms=REFERENCE_MS)
    assert latency.ratio == pytest.approx(2, rel=0.001)
    assert latency.raw_ms == pytest.approx(2 * latency.cpu_ms)
    assert latency.noisy


def test_several_threads_are_timed_on_the_wall(machine):
    machine.elsewhere = lambda seconds, macs: float(macs > REFERENCE_MACS)
    latency = measure(candidate(2), backend="fake", threads=2)
    assert latency.ratio == pytest.approx(4, rel=0.001)


def noise(share: float) -> Callable[[float, int], float]:
    rng = np.random.default_rng(0)
    return lambda seconds, macs: float(np.exp(share * rng.standard_normal()))


def test_more_noise_takes_more_blocks(machine):
    runs = []
    for share in (0.01, 0.06):
        machine.slowdown = noise(share)
        latency = measure(candidate(2), backend="fake", reference_ms=REFERENCE_MS, seconds=60)
        assert latency.low <= 2 * REFERENCE_MS <= latency.high
        assert latency.high - latency.low <= 2 * 0.02 * latency.latency_ms
        assert not latency.noisy
        runs.append(latency.runs)
    assert runs[0] == 20 < runs[1]


def test_what_all_blocks_of_a_round_share_is_told_by_rounds(machine, monkeypatch):
    """Each prepared network has a pace of its own, such as by where its tensors lie."""
    engine = FakeEngine(machine, pace=noise(0.04))
    monkeypatch.setitem(backends.BACKENDS, "fake", engine)
    latency = measure(candidate(2), backend="fake", reference_ms=REFERENCE_MS, seconds=60)
    assert latency.low <= 2 * REFERENCE_MS <= latency.high
    assert latency.high - latency.low > 0.03 * latency.latency_ms
    assert len(engine.prepared) > 2 * ROUNDS
    assert engine.prepared == engine.prepared[:2] * (len(engine.prepared) // 2)


def test_too_much_noise_ends_in_time_and_is_told(machine):
    machine.slowdown = noise(0.5)
    start = machine.wall
    latency = measure(candidate(2), backend="fake", seconds=3)
    warm_ups, block = 2 * timing.WARM_UP_MS / 1e3, 0.2
    assert 3 <= (machine.wall - start) / 1e9 < 3 + 2 * warm_ups + block
    assert latency.noisy and latency.low < latency.latency_ms < latency.high


def test_slow_networks_get_their_blocks(machine):
    assert measure(candidate(50), backend="fake", seconds=0.1, blocks=16).runs == 16


def test_calibration_is_the_references_time_where_little_disturbs_it(machine):
    assert calibrate(backend="fake") == pytest.approx(REFERENCE_MS)
    machine.slowdown = lambda seconds, macs: 1 + (seconds % 1 > 0.6)  # a neighbour, now and then
    assert calibrate(backend="fake", seconds=10) == pytest.approx(REFERENCE_MS)


def test_the_reference_never_changes():
    assert graph_id(reference()) == "efbeca813553"
    assert (REFERENCE_MACS, cost(reference()).params) == (76_017_920, 823_722)
    assert reference().output == (10, 1, 1)


@pytest.mark.parametrize("n, ranks", [(1, (0, 0)), (5, (0, 4)), (6, (0, 5)), (20, (5, 14))])
def test_interval_of_the_median(n, ranks):
    # Ranks from a table of the sign test: for 20 values the 6th and the 15th.
    assert interval([float(i) for i in reversed(range(n))]) == ranks


def test_the_interval_covers():
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(400, 25))
    covered = [low <= np.log(2) <= high for low, high in map(interval, samples.tolist())]
    assert np.mean(covered) >= 0.94


def test_a_real_measurement():
    latency = measure(SMALL, reference_ms=2.0, seconds=0.05, blocks=6)
    assert 0 < latency.low <= latency.latency_ms <= latency.high
    assert latency.latency_ms < 2.0  # a hundredth of the reference's work
    assert latency.latency_ms == pytest.approx(2.0 * latency.ratio)
    assert latency.raw_ms > 0 and latency.cpu_ms > 0 and latency.runs >= 6 and latency.cpu
    assert Latency(**latency.to_dict()) == latency


def test_the_callers_thread_keeps_its_denormals_and_its_garbage_collection():
    measure(SMALL, seconds=0.01, blocks=2)
    assert np.float32(1e-40) * np.float32(1) > 0
    assert gc.isenabled()


def test_threads_below_one_are_refused():
    with pytest.raises(InputError, match="threads: expected at least 1, got 0"):
        calibrate(threads=0)


def test_torch_is_not_imported():
    code = "import sys, nas.latency; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
