"""What a trial costs besides training and timing: `python benchmarks/trial.py` writes trial.csv.

Claims: on `tiny`, under 0.2 s a trial for asking, building, the check by fvcore, telling, the
records, the progress bar, and a tenth of writing the front; and of 300 random proposals under a
tight budget none is over it and none comes twice.
"""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna

import nas.driver as driver
import nas.evaluate as evaluate
from nas import Budget, load_space
from nas.gate import Gate
from nas.progress import Live
from nas.samplers import GatedSampler, make_sampler
from nas.train import Recipe

TRIALS, PROPOSALS, BUDGET = 10, 300, ("12M-flops", "60k-params")
OUT = Path(__file__).with_suffix(".csv")


class Timed:
    """A function that sums up the time it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *args: Any, **settings: Any) -> Any:
        started = time.perf_counter()
        try:
            return self.function(*args, **settings)
        finally:
            self.seconds += time.perf_counter() - started


def overhead() -> float:
    """Seconds a trial besides training, scoring and timing."""
    work = [
        (evaluate, "train"),
        (evaluate, "score"),
        (driver, "measure"),
    ]
    timers = []
    for module, name in work:
        timers.append(Timed(getattr(module, name)))
        setattr(module, name, timers[-1])
    with tempfile.TemporaryDirectory() as folder:
        settings = {"space": "tiny", "recipe": Recipe(epochs=1), "out": f"{folder}/run"}
        run = driver.search(trials=TRIALS, **settings)
        first = run.trials["seconds"].iloc[0]  # loads libraries and images
        for timer in timers:
            timer.seconds = 0.0
        progress = Live()
        started = time.perf_counter()
        driver.resume(run.path, trials=2 * TRIALS, progress=progress)
        total = time.perf_counter() - started  # with the records, the bar, and the front at the end
    print(f"first trial {first:.2f} s")
    return (total - sum(timer.seconds for timer in timers)) / TRIALS


def proposals(sampler: str, space_name: str, budget: tuple[str, ...]) -> tuple[int, int]:
    """Over budget, and repeated, of 300 proposals told random values."""
    space, rng = load_space(space_name), random.Random(0)
    gate = Gate(space, Budget.parse(budget), None, lambda *_: None)
    inner = make_sampler(sampler, 0, PROPOSALS)
    distributions = space.distributions()
    gated = GatedSampler(inner, distributions, gate.admits, gate.mend, 0)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=gated)
    over, ids = 0, []
    for _ in range(PROPOSALS):
        trial = study.ask(distributions)
        candidate = space.candidate(dict(trial.params))
        over += not gate.budget.allows(candidate.cost)
        ids.append(candidate.id)
        gate.seen.add(candidate.id)
        study.tell(trial, [rng.random(), float(candidate.cost.macs)])
    return over, PROPOSALS - len(set(ids))


def main() -> None:
    rows: list[tuple[str, str, float]] = [("seconds a trial besides work", "tiny", overhead())]
    for space, budget in (("tiny", BUDGET), ("mobile", ("15M-flops", "1M-params"))):
        for sampler in ("random", "nsga2", "tpe"):
            over, repeated = proposals(sampler, space, budget)
            rows.append((f"over budget of {PROPOSALS}, {sampler}", space, over))
            rows.append((f"repeated of {PROPOSALS}, {sampler}", space, repeated))
    for row in rows:
        print(*row, sep=", ")
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("figure", "space", "value"), *rows])


if __name__ == "__main__":
    main()
