"""What to trust in a run, in sentences that follow from its own records."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from nas.certainty import LEVEL
from nas.metrics import METRICS
from nas.pick import assess, candidates
from nas.records import COMPLETE, FAILED
from nas.run import Run, front

SURE = 0.8


def notes(run: Run) -> list[str]:
    """Sentences on accuracies, the front and latencies of a run with a finished trial."""
    return [*_training(run), *_front(run), *_latencies(run), *_failures(run)]


def _training(run: Run) -> Iterator[str]:
    recipe = run.info["settings"]["recipe"]
    done = run.trials[run.trials["state"] == COMPLETE]
    best = done.iloc[done["accuracy"].argmax()]
    yield (
        f"Accuracies are those of {recipe['epochs']} epochs on at most {recipe['subset']:,} images "
        f"of {recipe['proxy_resolution']} pixels, a noisy judge of long training: take the front "
        "for a short list to train fully."
    )
    error = 1.96 * best["accuracy_error"]
    yield (
        f"They are counted on {best['validation_size']:,.0f} validation images: the best, "
        f"{METRICS['accuracy'].format(best['accuracy'])}, is known to ± {100 * error:.1f} points "
        f"({LEVEL:.0%}), and it was chosen for being high."
    )
    yield "Each network was trained once here: the noise of seeds is in no interval."


def _front(run: Run) -> Iterator[str]:
    found = assess(candidates([run]), run.budget, run.cost)
    sure = (found["front"] & (found["on_front"] >= SURE)).sum()
    ties = front(run.trials, ("accuracy", run.cost))["tie"].sum()
    yield (
        f"Of {found['front'].sum()} points on the front of accuracy and {run.cost}, {sure} are "
        f"truly on it with {SURE:.0%} or more; {ties} cannot be told from a cheaper one."
    )


def _latencies(run: Run) -> Iterator[str]:
    timed = [t.latency for t in run.records if t.state == COMPLETE and t.latency]
    if not timed:
        yield "No latency was measured: counts do not rank networks of several block families."
        return
    half = median((t["high"] - t["low"]) / (2 * t["latency_ms"]) for t in timed)
    device = f"{timed[0]['cpu']}, {timed[0]['backend']}, threads: {timed[0]['threads']}"
    how = "estimated for" if timed[0].get("source") == "estimated" else "measured on"
    yield f"Latencies are {how} {device}; the median interval is ± {half:.1%}."
    if noisy := sum(t["noisy"] for t in timed):
        yield f"{noisy} of {len(timed)} latencies were taken on an unsteady machine."


def _failures(run: Run) -> Iterator[str]:
    failed = [trial for trial in run.records if trial.state == FAILED]
    if failed:
        yield f"{len(failed)} trials failed, the last one by: {failed[-1].error}"
