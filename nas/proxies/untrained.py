"""A score of untrained networks as a number in [0, 1], which a search can rank by.

Such a score has a unit of its own and no bounds. Its standing among random networks of the space
within the budget, of mean m and standard deviation d, has neither:

    Φ((s - m) / d)      the share of them that a network of score s beats, were their scores
                        normally distributed

That keeps the order of the scores and says nothing of accuracies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.arch import Architecture
    from nas.evaluate import Task
    from nas.graph import Graph
    from nas.records import Result


@dataclass(frozen=True, slots=True)
class Untrained:
    """The score `name` of `nas.proxies`, its mean and deviation over so many random `networks`."""

    name: str
    mean: float
    deviation: float
    networks: int

    @property
    def id(self) -> str:
        return f"{self.name} {self.mean!r} {self.deviation!r}"

    def standing(self, value: float) -> float:
        """Φ((value - mean) / deviation); where all random networks score alike, 0, ½ or 1.

        A score of -∞, as of a network without activations, stands below all. Raises ValueError for
        one that is no number.
        """
        if math.isnan(value):
            raise ValueError(f"its {self.name} is no number")
        above = value - self.mean
        if self.deviation == 0:
            return 0.5 if above == 0 else float(above > 0)
        return NormalDist().cdf(above / self.deviation)

    def score(
        self, network: Architecture | Graph, task: Task, on_begin: Callable[[], None]
    ) -> Result:
        """What an untrained network scores; as `nas.evaluate.AtOnce` wants it."""
        from nas.proxies.scoring import score_untrained  # which builds on `nas.evaluate`

        return score_untrained(network, task, on_begin)
