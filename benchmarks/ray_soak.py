"""A sweep that is shot at thirty times: `python benchmarks/ray_soak.py` writes ray_soak.csv.

A cluster of a head and two nodes of one CPU, all on this machine. Up to two seconds after a trial
has ended, at random by a seed, a worker or the driver is killed by SIGKILL, or a node is lost and
another one joins; a driver that was killed is begun again by `--resume`. The CSV has a line a kill.
At the end: every number once, no architecture twice, the budget of trials exact, no line that was
once on the disk lost. A number as argument shoots so many times.
"""

from __future__ import annotations

import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

from nas.records import read_trials

KILLS, SEED = 30, 0
PAUSE = 2.0  # seconds, at most, from the end of a trial to a kill
RECIPE = "{epochs: 3, batch: 20, subset: 1000, proxy_resolution: 32}\n"
OUT = Path(__file__).with_suffix(".csv")


class Sweep:
    """The driver and the cluster, and what can happen to them."""

    def __init__(self, folder: Path, trials: int) -> None:
        self.run = folder / "run"
        self.cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.session = Path(self.cluster.head_node.get_session_dir_path()).name
        self.nodes = [self.cluster.add_node(num_cpus=1) for _ in range(2)]
        recipe = folder / "recipe.yaml"
        recipe.write_text(RECIPE)
        search = ["--space", "tiny", "--objectives", "accuracy,macs", "--sampler", "random"]
        self._begin = [*search, "--recipe", str(recipe), "--rungs", "1,2", "--out", str(self.run)]
        self._begin += ["--trials", str(trials)]
        self.driver = self.start()
        self.rng = random.Random(SEED)

    def start(self) -> subprocess.Popen[bytes]:
        begun = (self.run / "run.json").exists()
        words = ["--resume", str(self.run)] if begun else self._begin
        command = [sys.executable, "-m", "nas.cli", "search", *words]
        return subprocess.Popen([*command, "--ray", self.cluster.address, "--quiet"])

    def kill_driver(self) -> None:
        self.driver.send_signal(signal.SIGKILL)
        self.driver.wait()
        self.driver = self.start()

    def kill_worker(self) -> None:
        if pids := list(workers(self.session)):
            os.kill(self.rng.choice(pids), signal.SIGKILL)

    def lose_node(self) -> None:
        lost = self.nodes.pop(self.rng.randrange(len(self.nodes)))
        self.cluster.remove_node(lost, allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))

    def lines(self) -> list[str]:
        path = self.run / "trials.jsonl"
        return path.read_text().splitlines() if path.exists() else []


def workers(session: str) -> Iterator[int]:
    """Processes that do a job now: children of the session's raylets that have its name."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (process / "cmdline").read_text().startswith("ray::run"):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if session in Path(f"/proc/{parent}/cmdline").read_text():
                    yield int(process.name)


def shoot(sweep: Sweep, kills: int) -> list[tuple[float, str, int]]:
    """Seconds, what was killed, and the trials that had ended by then, of every kill."""
    started, rows, before = time.perf_counter(), [], list[str]()
    while len(rows) < kills:
        while len(sweep.lines()) == len(before):
            assert sweep.driver.poll() is None
            time.sleep(0.05)
        time.sleep(sweep.rng.uniform(0, PAUSE))
        what = sweep.rng.choice(["driver", "worker", "worker", "node"])
        {
            "driver": sweep.kill_driver,
            "worker": sweep.kill_worker,
            "node": sweep.lose_node,
        }[what]()
        lines = sweep.lines()
        assert lines[: len(before)] == before
        before = lines
        rows.append((round(time.perf_counter() - started, 1), what, len(lines)))
        print(*rows[-1], sep=", ", flush=True)
    assert sweep.driver.wait() == 0
    assert sweep.lines()[: len(before)] == before
    rows.append((round(time.perf_counter() - started, 1), "end", len(sweep.lines())))
    return rows


def check(run: Path, count: int) -> None:
    trials = read_trials(run / "trials.jsonl")
    assert sorted(trial.number for trial in trials) == list(range(count))
    assert len({trial.id for trial in trials}) == count
    states = {state: sum(t.state == state for t in trials) for state in {t.state for t in trials}}
    retries = sum(trial.retries for trial in trials)
    print(f"{count} trials, each number and architecture once: {states}, {retries} retries")


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    trials = 8 * kills  # a few may end before a kill comes, none may be left at the last one
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(Path(folder), trials)
        try:
            rows = shoot(sweep, kills)
            check(sweep.run, trials)
        finally:
            sweep.driver.kill()
            sweep.cluster.shutdown()
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("seconds", "killed", "trials"), *rows])


if __name__ == "__main__":
    main()
