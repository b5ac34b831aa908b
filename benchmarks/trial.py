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
from pathlib import Path
from typing import Any

import nas.driver as driver
import nas.evaluate as evaluate
from nas import Budget, load_space
from nas.gate import Gate
from nas.progress import Live
from nas.proposals import proposer
from nas.recipe import Recipe
from nas.records import COMPLETE, Result, Trial, cost_dict
from nas.samplers import NAMES
from nas.settings import Settings
from nas.space import Candidate
from nas.study import Study
from nas.training import Training

TRIALS, PROPOSALS, BUDGET = 10, 300, ("12M-flops", "60k-params")
OUT = Path(__file__).with_suffix(".csv")


class Timed:
    """Puts a stopwatch around a function of a module or class, under its own name."""

    def __init__(self, owner: Any, name: str) -> None:
        self.seconds = 0.0
        function = getattr(owner, name)

        def timed(*args: Any, **settings: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **settings)
            finally:
                self.seconds += time.perf_counter() - started

        setattr(owner, name, timed)


def overhead() -> float:
    """Seconds a trial besides training, scoring and timing."""
    timers = [
        Timed(*work) for work in ((Training, "advance"), (evaluate, "score"), (driver, "measure"))
    ]
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
    settings = Settings(
        sampler=sampler, budget=budget, objectives=("accuracy", "macs"), trials=PROPOSALS
    )
    gate = Gate(space, Budget.parse(budget), None, lambda *_: None)
    study = Study(space, proposer(settings, space, gate, 0), settings.objectives, lambda _: None)
    over, ids = 0, []
    for number in range(PROPOSALS):
        asked, candidate = study.ask()
        over += not gate.budget.allows(candidate.cost)
        ids.append(candidate.id)
        gate.seen.add(candidate.id)
        study.tell(asked, trial_of(number, candidate, rng.random()))
    return over, PROPOSALS - len(set(ids))


def trial_of(number: int, candidate: Candidate, accuracy: float) -> Trial:
    """As if the candidate had been trained."""
    result = Result(accuracy, 1.0, 100, (1.0,), ((1, accuracy),), 1.0)
    facts = candidate.params, {}, cost_dict(candidate.cost)
    return Trial(number, candidate.id, *facts, state=COMPLETE, seed=0, result=result)


def main() -> None:
    rows: list[tuple[str, str, float]] = [("seconds a trial besides work", "tiny", overhead())]
    for space, budget in (("tiny", BUDGET), ("mobile", ("15M-flops", "1M-params"))):
        for sampler in NAMES:
            over, repeated = proposals(sampler, space, budget)
            rows.append((f"over budget of {PROPOSALS}, {sampler}", space, over))
            rows.append((f"repeated of {PROPOSALS}, {sampler}", space, repeated))
    for row in rows:
        print(*row, sep=", ")
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("figure", "space", "value"), *rows])


if __name__ == "__main__":
    main()
