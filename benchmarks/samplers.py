"""Samplers on real trainings: `python benchmarks/samplers.py` writes samplers.csv beside it.

`mobile` on digits, accuracy against MACs under 300M, the same number of trainings by the
cost-aware sampler and NSGA-II, over three seeds. A hypervolume is a share of the box from the
budget at chance accuracy to 100 % at no MACs. Runs are kept in the folder that is given
(results/samplers) and go on where they were interrupted: about half an hour on two cores.
"""

from __future__ import annotations

import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import nas
from nas.recipe import Recipe
from nas.run import hypervolume_of

SAMPLERS, SEEDS, TRIALS, EVERY = ("cost-aware", "nsga2"), (0, 1, 2), 60, 10
BUDGET, CHANCE = 300e6, 0.1
OBJECTIVES = ("accuracy", "macs")
OUT = Path(__file__).with_suffix(".csv")


def search(folder: Path, sampler: str, seed: int) -> list[tuple[str, int, int, float]]:
    """(sampler, seed, trials, hypervolume) as the trials of one search went on."""
    out = folder / f"{sampler}-{seed}"
    if (out / "run.json").exists():
        run = nas.resume(out)
    else:
        run = nas.search(
            space="mobile",
            budget=f"{BUDGET:.0f}-flops",
            objectives=OBJECTIVES,
            trials=TRIALS,
            confirm=0,
            recipe=Recipe(epochs=3),
            sampler=sampler,
            seed=seed,
            out=out,
        )
    return [
        (sampler, seed, count, round(share(run.records[:count]), 4))
        for count in range(EVERY, TRIALS + 1, EVERY)
    ]


def share(records: list) -> float:
    reference = {"accuracy": CHANCE, "macs": BUDGET}
    return hypervolume_of(records, reference, OBJECTIVES) / ((1 - CHANCE) * BUDGET)


def main() -> None:
    folder = Path(sys.argv[1] if sys.argv[1:] else "results/samplers")
    jobs = [(folder, sampler, seed) for seed, sampler in product(SEEDS, SAMPLERS)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        rows = [row for rows in pool.map(search, *zip(*jobs, strict=True)) for row in rows]
    for sampler, count in product(SAMPLERS, range(EVERY, TRIALS + 1, EVERY)):
        found = [row[3] for row in rows if (row[0], row[2]) == (sampler, count)]
        print(f"{sampler}, {count} trials: {median(found):.4f} ({min(found)} to {max(found)})")
    with OUT.open("w", newline="") as file:
        csv.writer(file).writerows([("sampler", "seed", "trials", "hypervolume"), *rows])


if __name__ == "__main__":
    main()
