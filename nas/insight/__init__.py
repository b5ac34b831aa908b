"""What runs tell of space, latency and search, as tables; `nas.figures` draws them."""

from nas.insight.design import effects, error_distribution, importances, winners
from nas.insight.latency import estimates
from nas.insight.search import agreement, replay_rungs, volumes

__all__ = [
    "agreement",
    "effects",
    "error_distribution",
    "estimates",
    "importances",
    "replay_rungs",
    "volumes",
    "winners",
]
