"""What to trust in a run, in sentences that follow from its own records."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from nas.certainty import LEVEL, percent
from nas.metrics import METRICS, plural
from nas.pick import assess, candidates
from nas.records import COMPLETE, FAILED, STOPPED
from nas.run import Run, front
from nas.scores import in_words
from nas.trust import Confirmed, trust

SURE = 0.8


def notes(run: Run) -> list[str]:
    """Sentences on accuracies, the front and latencies of a run with a finished trial."""
    found = (_training, _confirmed, _front, _latencies, _left_out)
    return [note for notes_of in found for note in notes_of(run)]


def _training(run: Run) -> Iterator[str]:
    recipe = run.info["settings"]["recipe"]
    done = run.trials[run.trials["state"] == COMPLETE]
    best = done.iloc[done["score"].argmax()]
    images = f"{recipe['subset']:,} images of {recipe['proxy_resolution']} pixels"
    what = {
        "alone": f"Accuracies are those of {plural(recipe['epochs'], 'epoch')} on at most {images}",
        "shared": "Scores are the probabilities (geometric means) that parts of one network, which "
        "was trained for all candidates at once, give to the true class",
        "zero-cost": "Scores are the shares of random networks of the space that an untrained "
        "network beats by its NASWOT, and no accuracies",
    }
    yield (
        f"{what[run.proxy]}, a noisy judge of long training: take the front for a short list to "
        "train fully."
    )
    if run.score.counted:
        error = 1.96 * best["score_error"]
        yield (
            f"They are counted on {best['validation_size']:,.0f} validation images: the best, "
            f"{METRICS['accuracy'].format(best['score'])}, is known to ± {100 * error:.1f} points "
            f"({percent(LEVEL)}), and it was chosen for being high."
        )
    if run.proxy == "alone":
        yield "Each network was trained once here: the noise of seeds is in no interval."


def _confirmed(run: Run) -> Iterator[str]:
    found = trust(run)
    if not found or not found.confirmed:
        return
    both = ", ".join(
        f"trial {c.number} {100 * c.confirmed:.2f} ± {100 * c.confirmed_error:.2f} % "
        f"(in the search {_searched(c)})"
        for c in sorted(found.confirmed, key=lambda c: -c.confirmed)
    )
    yield f"Longer trainings of candidates, with one standard error: {both}."
    if tau := found.agreement:
        yield (
            f"The search and the longer trainings order these {tau.count} with τ {tau.tau:.2f} "
            f"({percent(LEVEL)}: {tau.low:.2f} to {tau.high:.2f}); 1 would be the same order."
        )


def _searched(found: Confirmed) -> str:
    return in_words(found.score, found.accuracy).removeprefix("accuracy ")


def _front(run: Run) -> Iterator[str]:
    found = assess(candidates([run]), run.budget, run.cost)
    sure = (found["front"] & (found["on_front"] >= SURE)).sum()
    ties = front(run.trials, ("accuracy", run.cost))["tie"].sum()
    yield (
        f"Of {found['front'].sum()} points on the front of {run.score.word} and {run.cost}, {sure} "
        f"are truly on it with {percent(SURE)} or more; {ties} cannot be told from a cheaper one."
    )


def _latencies(run: Run) -> Iterator[str]:
    done = (t for t in run.records if t.state == COMPLETE)
    timed = [found for t in done if (found := run.finals.get(t.number, t.latency))]
    if not timed:
        yield "No latency was measured: counts do not rank networks of several block families."
        return
    half = median((t["high"] - t["low"]) / (2 * t["latency_ms"]) for t in timed)
    device = f"{timed[0]['cpu']}, {timed[0]['backend']}, threads: {timed[0]['threads']}"
    estimated = sum(t.get("source") == "estimated" for t in timed)
    some = f" ({estimated} of {len(timed)} estimated)" if estimated else ""
    how = "estimated for" if estimated == len(timed) else f"measured{some} on"
    yield f"Latencies are {how} {device}; the median interval is ± {100 * half:.1f} %."
    if noisy := sum(t["noisy"] for t in timed):
        yield f"{noisy} of {len(timed)} latencies were taken on an unsteady machine."


def _left_out(run: Run) -> Iterator[str]:
    if stopped := sum(trial.state == STOPPED for trial in run.records):
        yield f"{plural(stopped, 'trial')} stopped at a rung and left out here."
    if failed := [trial for trial in run.records if trial.state == FAILED]:
        yield f"{plural(len(failed), 'trial')} failed, the last one by: {failed[-1].error}"
