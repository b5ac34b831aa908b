"""What a search is asked for, and what else run.json needs to repeat it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from math import inf
from typing import Any

import torch

from nas import reference
from nas.arch import hint
from nas.budget import Budget
from nas.errors import InputError
from nas.latency.backends import find_backend
from nas.latency.measurement import cpu_name
from nas.metrics import COSTS, METRICS
from nas.proxies import PROXIES
from nas.recipe import Recipe
from nas.samplers import check_name
from nas.space import RESOLUTION, Space

PROXY = {
    "alone": "a brief training of each candidate",
    "shared": "one training of a network that all candidates are parts of",
    "zero-cost": "a score of each untrained candidate",
    "auto": "shared where a long search chooses within families, alone elsewhere",
}
LONG = 60, 600.0  # trials and seconds, from which on a shared network is worth its training


@dataclass(frozen=True, slots=True)
class Settings:
    """What a search is asked for; run.json holds it. `time` is in seconds.

    `confirm` is how many of the front's candidates are trained again for longer at the end, None
    for a few where time allows.
    `rungs` are the epochs after which a training may be stopped, none where empty.
    `backend` and `threads` are those of the network that is timed, the recipe has its own threads.
    `latency_table` is the file of a device's table, which stands in for timing; one of another
    device needs `force_table`. `proxy` says what accuracy is (`nas.scores`) and where it comes
    from, `proxy_time` for how many seconds a shared network is trained; `auto`: nobody asked for
    this proxy.
    """

    space: str = "mobile"
    data: str = "digits"
    data_dir: str | None = None
    budget: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ("accuracy", "latency")
    trials: int = 40
    time: float | None = None
    confirm: int | None = None
    sampler: str = "cost-aware"
    recipe: Recipe = field(default_factory=Recipe)
    rungs: tuple[int, ...] = ()
    resolution: int = RESOLUTION
    device: str = "cpu"
    seed: int = 0
    baselines: tuple[str, ...] = ()
    prior: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    backend: str = "onnxruntime"
    threads: int = 1
    latency_table: str | None = None
    force_table: bool = False
    proxy: str = "auto"
    proxy_time: float | None = None
    auto: bool = False

    def __post_init__(self) -> None:
        _check_objectives(self.objectives)
        Budget.parse(self.budget)
        check_name(self.sampler)
        find_backend(self.backend)
        for name in ("trials", "resolution", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}: expected 1 or more, got {getattr(self, name)}")
        _check_rungs(self.rungs, self.recipe)
        _check_table(self)
        _check_proxy(self)
        for name in ("seed", "confirm"):
            if (getattr(self, name) or 0) < 0:
                raise InputError(f"--{name}: expected 0 or more, got {getattr(self, name)}")
        if self.time is not None and not self.time > 0:
            raise InputError(f"--time: expected more than no time, got {self.time:g} seconds")
        check_device(self.device, here=False)
        for name in self.baselines:
            reference.published(name).graph(self.resolution)  # or says the smallest that works

    @property
    def timed(self) -> bool:
        """Whether latencies matter to this search."""
        return "latency" in self.objectives or "latency" in Budget.parse(self.budget)

    @property
    def way(self) -> str:
        """alone, shared or zero-cost; `auto` is alone until it is settled."""
        return "alone" if self.proxy == "auto" else self.proxy

    @property
    def shares_weights(self) -> bool:
        """Whether all candidates are parts of one shared network."""
        return self.way == "shared"

    def settled(self, space: Space) -> Settings:
        """With `auto` decided for a space, as the figures of docs/ranking.md have it."""
        if self.proxy != "auto":
            return self
        long = self.trials >= LONG[0] and (self.time or inf) >= LONG[1]
        needs = self.rungs or self.baselines or self.prior or self.device != "cpu"
        alone = needs or space.mixed or not space.parameters or not long
        return replace(self, proxy="alone" if alone else "shared", auto=True)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Settings:
        """Read what `asdict` wrote."""
        names = ("budget", "objectives", "rungs", "baselines", "prior", "blocks")
        lists = {key: tuple(data.get(key, ())) for key in names}
        earlier = {"confirm": 0}  # what runs of earlier versions do not say
        return cls(**{**earlier, **data, **lists, "recipe": Recipe.from_dict(data["recipe"])})


def check_device(device: str, *, here: bool = True) -> None:
    """Raise InputError unless a network can be trained there, on this machine if `here`."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"--device {device!r}: expected cpu or cuda")
    if here and device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; use cpu")


def _check_rungs(rungs: Sequence[int], recipe: Recipe) -> None:
    if list(rungs) != sorted({n for n in rungs if 0 < n < recipe.epochs}):
        raise InputError(
            f"--rungs: expected rising epochs from 1 to {recipe.epochs - 1}, before the last of "
            f"{recipe.epochs}, got {','.join(map(str, rungs))}"
        )


def _check_table(settings: Settings) -> None:
    if settings.force_table and not settings.latency_table:
        raise InputError("--force-table: expected with --latency-table, which it is about")
    if settings.latency_table and not settings.timed:
        raise InputError("--latency-table: expected latency among the objectives or the budgets")


def _check_proxy(settings: Settings) -> None:
    if settings.proxy not in PROXY:
        raise InputError(f"--proxy: unknown {settings.proxy!r}; {hint(settings.proxy, PROXY)}")
    if settings.proxy_time is not None and not settings.proxy_time > 0:
        raise InputError(f"--proxy-time: expected more than no time, got {settings.proxy_time:g}")
    if settings.proxy_time is not None and not settings.shares_weights:
        raise InputError("--proxy-time: expected with --proxy shared, whose training it limits")
    if settings.way == "alone":
        return
    for flag, given in (("rungs", settings.rungs), ("baselines", settings.baselines)):
        if given:
            raise InputError(f"--{flag}: expected with --proxy alone, which trains each network")
    if settings.prior:
        raise InputError("--from: expected with --proxy alone; scores of another are a run's own")


def _check_objectives(objectives: Sequence[str]) -> None:
    for name in objectives:
        if name in PROXIES:
            raise InputError(
                f"--objectives: {name} orders untrained networks and is no accuracy, expected "
                "accuracy; --proxy zero-cost ranks by such a score in its place"
            )
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
    names = ["nas-explorer", "torch", "optuna", "fvcore", "onnxruntime", "numpy", "pandas"]
    names += [extra for extra in ("openvino", "executorch") if find_spec(extra)]
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
