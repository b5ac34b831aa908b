"""A list of jobs, done to its end by any executor."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from nas.executors.base import ATTEMPTS, Executor, Job, Outcome


def all_of(
    jobs: Iterable[Job], executor: Executor, on_lost: Callable[[Outcome], None]
) -> Iterator[Outcome]:
    """The outcomes of all jobs as they end; one whose worker is lost has `ATTEMPTS` in all.

    `on_lost` is told of each loss that another attempt follows.
    """
    left, running, lost = deque(jobs), dict[int, Job](), Counter[int]()
    while left or running:
        while left and len(running) < executor.slots:
            job = left.popleft()
            running[job.number] = job
            executor.submit(job)
        if (outcome := executor.next()) is None:
            continue
        job = running.pop(outcome.number)
        lost[job.number] += outcome.lost
        if not outcome.lost:
            yield outcome
        elif lost[job.number] < ATTEMPTS:
            on_lost(outcome)
            left.appendleft(job)
        else:
            yield replace(outcome, error=f"{outcome.error}; {ATTEMPTS} attempts")
