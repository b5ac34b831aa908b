"""What a search is asked for, and what else run.json needs to repeat it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch

from nas import reference
from nas.arch import hint
from nas.budget import Budget
from nas.errors import InputError
from nas.latency.measurement import cpu_name
from nas.metrics import COSTS, METRICS
from nas.samplers import make_sampler
from nas.space import RESOLUTION
from nas.train import Recipe


@dataclass(frozen=True, slots=True)
class Settings:
    """What a search is asked for; run.json holds it. `time` is in seconds."""

    space: str = "mobile"
    data: str = "digits"
    data_dir: str | None = None
    budget: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ("accuracy", "latency")
    trials: int = 40
    time: float | None = None
    sampler: str = "nsga2"
    recipe: Recipe = field(default_factory=Recipe)
    resolution: int = RESOLUTION
    device: str = "cpu"
    seed: int = 0
    baselines: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_objectives(self.objectives)
        Budget.parse(self.budget)
        make_sampler(self.sampler, 0, 1)
        for name in ("trials", "resolution"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}: expected 1 or more, got {getattr(self, name)}")
        if self.time is not None and not self.time > 0:
            raise InputError(f"--time: expected more than no time, got {self.time:g} seconds")
        if self.device not in ("cpu", "cuda"):
            raise InputError(f"--device {self.device!r}: expected cpu or cuda")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda: torch sees no CUDA device here; use cpu")
        for name in self.baselines:
            reference.published(name).graph(self.resolution)  # or says the smallest that works

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Settings:
        """Read what `asdict` wrote."""
        lists = {key: tuple(data[key]) for key in ("budget", "objectives", "baselines", "blocks")}
        return cls(**{**data, **lists, "recipe": Recipe.from_dict(data["recipe"])})


def _check_objectives(objectives: Sequence[str]) -> None:
    for name in objectives:
        if name not in METRICS:
            raise InputError(f"--objectives: unknown {name!r}; {hint(name, METRICS)}")
    costs = [name for name in objectives if name in COSTS]
    if len(set(objectives)) < len(objectives) or "accuracy" not in objectives or not costs:
        raise InputError(
            f"--objectives: expected accuracy and one or more of {', '.join(COSTS)}, "
            f"each once, got {','.join(objectives)!r}"
        )


def versions() -> dict[str, str]:
    """Python and the packages that a result may depend on."""
    names = ("nas-explorer", "torch", "optuna", "fvcore", "onnxruntime", "numpy", "pandas")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def machine() -> dict[str, Any]:
    """Where a search runs."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
