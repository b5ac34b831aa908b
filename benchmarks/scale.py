"""What a trial costs the driver as a search grows: `python benchmarks/scale.py` writes scale.csv.

Nothing is trained: 200 virtual workers answer after random simulated times with an accuracy by a
formula. All else is a real search within 300M flops, of `mobile`, or of `tiny` where the sampler
knows costs: proposals, the gate, the study, lines synced to the disk, the live view. Each figure is
taken in a process of its own; names of some of them as arguments (random, rungs, cost-aware,
proposals, load, mirror) take those anew only; the one of 20,000 trials that knows costs takes the
better part of an hour.

Claims: the driver's time a trial at random stays under 10 ms and its memory under 12 KB a trial, as
steep from 9,000 to 10,000 as from 1,000; a proposal that knows costs takes less than twice as long
in the last thousand of 20,000 trials as in the first.
"""

from __future__ import annotations

import csv
import gc
import io
import json
import math
import os
import random
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from heapq import heappop, heappush
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

import nas
from nas.arch import Architecture
from nas.budget import Budget
from nas.evaluate import Rung, Task
from nas.executors import Job, Outcome
from nas.gate import Gate
from nas.journal import Journal
from nas.loop import Loop
from nas.mirror import Mirror
from nas.progress import Facts, Live
from nas.proposals import proposer
from nas.recipe import Recipe
from nas.records import COMPLETE, Result, Trial, cost_dict
from nas.settings import Settings
from nas.space import Candidate, Space
from nas.space_file import load_space
from nas.study import Study

WORKERS, BLOCK, EPOCHS = 200, 1000, 4
TRIALS = {"random": 10_000, "rungs": 10_000, "cost-aware": 20_000}
SPACES = {"cost-aware": "tiny"}  # of `mobile` it would take hours
PROPOSED, TIMED = (1_000, 20_000), 20
LOADED, MIRRORED = 10_000, 300
REFERENCE = {"accuracy": 0.1, "macs": 300e6}
OUT = Path(__file__).with_suffix(".csv")
Row = tuple[str, int, str, float]


def accuracy(arch: Architecture, seed: int) -> float:
    """Deeper and wider is better, by families unlike, with the noise of a brief training."""
    work = 0.0
    for stage in arch.stages:
        quality = 1 + len(type(stage.block).__name__) % 5 / 10
        work += quality * stage.depth**0.5 * math.log2(stage.width)
    return min(max(1 - math.exp(-work / 40) + random.Random(seed).gauss(0, 0.01), 0.0), 1.0)


class Virtual:
    """Workers on a simulated clock, on which a rung takes about a minute."""

    slots = WORKERS

    def __init__(self) -> None:
        self._now, self._rng = 0.0, random.Random(0)
        self._running: list[tuple[float, int, Job]] = []

    def submit(self, job: Job) -> None:
        ends = self._now + self._rng.lognormvariate(math.log(60), 0.5)
        heappush(self._running, (ends, job.number, job))

    def next(self) -> Outcome:
        self._now, number, job = heappop(self._running)
        final = accuracy(job.network, job.seed)
        reached = final * (0.5 + 0.5 * job.epochs / EPOCHS)
        before = job.before.result if job.before else None
        result = Result(
            accuracy=reached,
            cross_entropy=1 - reached,
            validation_size=10_000,
            curve=tuple(2 - final * (n + 1) / EPOCHS for n in range(job.epochs)),
            rungs=(*(before.rungs if before else ()), (job.epochs, reached)),
            seconds=60.0,
        )
        return Outcome(number, Rung(result, None if job.epochs == EPOCHS else b"weights"))

    def close(self) -> None:
        self._running.clear()


class Watch(Live):
    """The live view of a terminal that nobody sees; notes every thousandth trial."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.console.file = io.StringIO()
        self.bar.live.console = Console(file=io.StringIO(), force_terminal=True)
        self.name, self.rows = name, list[Row]()
        self.count, self.clock, self.cpu = 0, time.perf_counter(), time.process_time()

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        super().trial(trial, trials)
        self.count += 1
        if self.count % BLOCK == 0:
            self._note_block()

    def _note_block(self) -> None:
        clock, cpu = time.perf_counter(), time.process_time()
        gc.collect()
        for figure, value in (
            ("driver, wall ms a trial", 1e3 * (clock - self.clock) / BLOCK),
            ("driver, CPU ms a trial", 1e3 * (cpu - self.cpu) / BLOCK),
            ("driver, resident MB", resident() / 1e6),
        ):
            self.rows.append((self.name, self.count, figure, round(value, 3)))
            print(*self.rows[-1], sep=", ", file=sys.__stderr__, flush=True)
        self.console.file = io.StringIO()
        self.clock, self.cpu = time.perf_counter(), time.process_time()


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def problem(name: str, trials: int, space_name: str = "mobile") -> tuple[Settings, Space, Gate]:
    """What the search of this name is asked for."""
    settings = Settings(
        space=space_name,
        budget=("300M-flops",),
        objectives=("accuracy", "macs"),
        trials=trials,
        sampler="random" if name == "rungs" else name,
        recipe=Recipe(epochs=EPOCHS),
        rungs=(1, 2) if name == "rungs" else (),
    )
    space = load_space(settings.space).bind(classes=10)
    return settings, space, Gate(space, Budget.parse(settings.budget), None, lambda *_: None)


def describe(folder: Path, settings: Settings, space: Space) -> None:
    info = {"space": space.name, "settings": asdict(settings), "hypervolume_reference": REFERENCE}
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "space.yaml").write_text(space.text)


def sweep(name: str, trials: int, folder: Path) -> list[Row]:
    """A simulated search into a folder, as figures of every thousand trials."""
    settings, space, gate = problem(name, trials, SPACES.get(name, "mobile"))
    task = Task(settings.data, None, "", settings.recipe)
    describe(folder, settings, space)
    watch = Watch(name)
    watch.start(Facts(str(folder), space.name, settings, str(gate.budget), REFERENCE, 0.0), [])
    Loop(Journal(folder), settings, task, gate, Virtual(), watch).run()
    watch.stop()
    size = (folder / "trials.jsonl").stat().st_size
    return [*watch.rows, (name, trials, "trials.jsonl, bytes a trial", round(size / trials))]


def proposals(folder: Path) -> Iterator[Row]:
    """CPU milliseconds that knowing costs takes a proposal on `tiny`, with 200 trials under way.

    The trials before were drawn at random; the first proposal, which looks at all of them and fits
    the model's hyper-parameters, is told apart.
    """
    settings, space, gate = problem("cost-aware", PROPOSED[-1], "tiny")
    rng = random.Random(0)
    for count in PROPOSED:
        at_random = proposer(replace(settings, sampler="random"), space, gate, count)
        study = Study(space, at_random, settings.objectives, lambda _: None)
        for number in range(count):
            study.add(finished(number, space.candidate(space.sample(rng))))
        running = deque(study.ask() for _ in range(WORKERS))
        study.sampler = proposer(settings, space, gate, 0)
        first, *others = [turn(study, running) for _ in range(1 + TIMED)]
        yield "proposals", count, "the first, CPU s", round(first, 2)
        yield "proposals", count, "the next, CPU ms each", round(1e3 * sum(others) / TIMED, 1)


def turn(study: Study, running: deque[tuple[int, Candidate]]) -> float:
    """Seconds of the processor from the end of the oldest trial to the proposal of another."""
    started = time.process_time()
    asked, candidate = running.popleft()
    study.tell(asked, finished(asked, candidate))
    running.append(study.ask())
    return time.process_time() - started


def finished(number: int, candidate: Candidate) -> Trial:
    """As if it had been trained."""
    reached = accuracy(candidate.arch, number)
    result = Result(reached, 1 - reached, 10_000, (1.0,), ((EPOCHS, reached),), 60.0)
    facts = candidate.params, candidate.arch.to_dict(), cost_dict(candidate.cost)
    return Trial(number, candidate.id, *facts, state=COMPLETE, seed=number, result=result)


def written(folder: Path, count: int) -> nas.Run:
    """A run of so many random architectures, as if a search had written it."""
    settings, space, _ = problem("random", count)
    describe(folder, settings, space)
    rng = random.Random(0)
    candidates = (space.candidate(space.sample(rng)) for _ in range(count))
    lines = (finished(number, found).to_json() for number, found in enumerate(candidates))
    (folder / "trials.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return nas.load(folder)


def load(folder: Path) -> Iterator[Row]:
    """What it takes to read a run of 10,000 trials, to find its front, and to write that."""
    run = written(folder, LOADED)
    started = time.process_time()
    assert len(run.front)
    yield "load", LOADED, "nas.load(run).front, CPU s", round(time.process_time() - started, 2)
    started = time.process_time()
    run.write_front()
    yield "load", LOADED, "write_front, CPU s", round(time.process_time() - started, 2)


def mirror(folder: Path) -> Iterator[Row]:
    """CPU milliseconds that the mirror's thread takes to add a trial."""
    run = written(folder, MIRRORED)
    settings, space = Settings.from_dict(run.info["settings"]), load_space("mobile")
    for kind, url in (("SQLite", f"sqlite:///{folder}/a.db"), ("journal", f"{folder}/a.log")):
        found = Mirror(url, "scale", settings, space, print)
        started = time.process_time()
        assert all(map(found._add, run.records))
        spent = 1e3 * (time.process_time() - started) / MIRRORED
        yield "mirror", MIRRORED, f"{kind}, CPU ms a trial", round(spent, 2)


def figures(name: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        if name in TRIALS:
            return sweep(name, TRIALS[name], Path(folder))
        others = {"proposals": proposals, "load": load, "mirror": mirror}
        return list(others[name](Path(folder)))


def main() -> None:
    names = sys.argv[1:] or [*TRIALS, "proposals", "load", "mirror"]
    rows: list[Row] = []
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in names:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            rows += alone.submit(figures, name).result()
    known = list(csv.reader(OUT.open())) if OUT.exists() else []
    kept = [row for row in known[1:] if row[0] not in names]
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("search", "trials", "figure", "value"), *kept, *rows])


if __name__ == "__main__":
    main()
