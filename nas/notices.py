"""What a person is told of a search before its first trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nas.arch import last_map, trace
from nas.data import Data
from nas.latencies import Latencies
from nas.records import Trial
from nas.scores import Score
from nas.settings import Settings
from nas.space import Candidate, Space, proxy_side
from nas.trust import told_apart

COARSE = 0.1  # a difference of scores that any validation part should tell


def small_maps(sample: Sequence[Candidate], settings: Settings) -> float:
    """The share of proxies whose last map is under 2x2, where little is left to learn from."""
    small = sum(_last_map(candidate, settings) < 2 for candidate in sample)
    return small / max(len(sample), 1)


def _last_map(candidate: Candidate, settings: Settings) -> int:
    arch, pixels = candidate.arch, settings.recipe.proxy_resolution
    side = proxy_side(arch.input[1], settings.resolution, pixels)
    return last_map(trace(replace(arch, input=(3, side, side))))


def of_validation(score: Score, data: Data) -> Iterator[str]:
    """Whether scores are counted on too few images to rank by."""
    images = len(data.validation)
    if score.counted and (apart := told_apart(0.5, images)) > COARSE:
        yield (
            f"note: {images} validation images tell {score.plural} about 50% apart that "
            f"differ by {100 * apart:.0f} points or more: few to rank by"
        )


def of_prior(trials: Sequence[Trial], space: Space) -> Iterator[str]:
    """Whether all that earlier runs found can be learned from."""
    prior = [trial for trial in trials if trial.source]
    if strangers := sum(not space.has(trial.params) for trial in prior):
        yield (
            f"{strangers} of {len(prior)} earlier results are no points of this space: "
            "they may be on the front, but the sampler cannot learn from them"
        )


def of_latencies(latencies: Latencies, sample: Sequence[Candidate]) -> Iterator[str]:
    """What is estimated, and whether the table knows all that the space is made of."""
    if latencies.table is None:
        return
    after = "the front is measured at the end" if latencies.measured else "nothing is measured here"
    yield f"latencies are estimates for {latencies.device}; {after}"
    estimator = latencies.table.estimator
    if unseen := {kind for c in sample for kind in estimator.unseen(c.graph)}:
        yield (
            f"note: no network of the table had {', '.join(sorted(unseen))}; "
            "estimates of architectures with it are rough"
        )
