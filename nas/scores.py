"""What the objective `accuracy` is in a run: the number in [0, 1] that its search ranks by.

Where each network is trained alone, that is its accuracy. Where nothing is trained for a candidate,
another number ranks better, or is all that there is; what a person sees then says so.

    alone        the accuracy on the validation part
    shared       the geometric mean of the probabilities that a part of a shared network gives to
                 the true classes, exp(-cross-entropy): on NAS-Bench-Macro it ranks as full
                 training does with τ .83, the part's accuracy with τ .78 (docs/ranking.md)
    zero-cost    Φ((s - mean) / deviation), s a score of the untrained network: the share of random
                 networks of the space within the budget that it beats, were their scores normally
                 distributed (`nas.proxies.untrained`)

An accuracy p counted on n images has the standard error √(p(1 - p) / n). A cross-entropy is a mean
of n losses; with σ their standard deviation, exp(-cross-entropy) has the standard error
exp(-cross-entropy) · σ / √n, to first order. What was counted on no images has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Score:
    """Its name, on an axis too; what it is `of`; whether it was `counted` on validation images."""

    word: str
    plural: str
    label: str
    of: str
    more: str
    most: str
    counted: bool = True

    @property
    def beside(self) -> bool:
        """Whether there are accuracies to stand beside it."""
        return self.counted and self.word != "accuracy"

    def worst(self, classes: int) -> float:
        """What knowing nothing scores: chance, where answers to so many classes are counted."""
        return 1 / classes if self.counted else 0.0


_SCORE = Score("score", "scores", "score", "several kinds", "higher in score", "highest in score")
SCORES = {
    "alone": Score(
        "accuracy",
        "accuracies",
        METRICS["accuracy"].label,
        "brief trainings",
        "more accurate",
        "most accurate",
    ),
    "shared": replace(
        _SCORE,
        label="probability of the true class (geometric mean), shared network",
        of="parts of one shared network",
    ),
    "zero-cost": replace(
        _SCORE,
        label="NASWOT against random networks of the space (untrained)",
        of="untrained networks",
        counted=False,
    ),
}


def standard_error(accuracy: float, images: int) -> float:
    """Standard error of an accuracy counted on so many images (binomial); 0 where on none."""
    return math.sqrt(max(accuracy * (1 - accuracy), 0.0) / images) if images else 0.0


def side_by_side(scores: Iterable[Score]) -> Score:
    """What to call those of several runs."""
    found = list(dict.fromkeys(scores)) or [SCORES["alone"]]
    if len(found) == 1:
        return found[0]
    return replace(_SCORE, label=" / ".join(score.label for score in found))


def in_words(score: float, accuracy: float | None) -> str:
    """accuracy 72.00 %; score 61.20 % (accuracy 72.00 %) where that is not what ranks."""
    percent = METRICS["accuracy"].format
    if score == accuracy:
        return f"accuracy {percent(accuracy)}"
    counted = "" if accuracy is None else f" (accuracy {percent(accuracy)})"
    return f"score {percent(score)}{counted}"
