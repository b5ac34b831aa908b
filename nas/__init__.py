"""Accuracy–latency fronts of light-weight vision networks for your data, device and budget.

    run = nas.search(space="mobile", data="digits", budget="300M-flops", trials=40)
    run.front                                   # a pandas DataFrame
    model = nas.build(run.front.iloc[0].architecture)

Names that need torch are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas.arch import Architecture, Stage, trace
from nas.blocks import block, head
from nas.budget import Budget
from nas.cost import Cost, cost
from nas.errors import InputError
from nas.space_file import load_space

if TYPE_CHECKING:
    from nas.api import search
    from nas.driver import resume
    from nas.exporting.export import export
    from nas.latency import LatencyEstimator
    from nas.net import build
    from nas.run import Run, load
    from nas.training.start import train

__all__ = [
    "Architecture",
    "Budget",
    "Cost",
    "InputError",
    "LatencyEstimator",
    "Run",
    "Stage",
    "block",
    "build",
    "cost",
    "export",
    "head",
    "load",
    "load_space",
    "resume",
    "search",
    "trace",
    "train",
]
_LATER = {
    "LatencyEstimator": "nas.latency",
    "build": "nas.net",
    "Run": "nas.run",
    "load": "nas.run",
    "resume": "nas.driver",
    "search": "nas.api",
    "train": "nas.training.start",
    "export": "nas.exporting.export",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'nas' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
