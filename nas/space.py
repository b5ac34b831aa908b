"""Search spaces: YAML in which a scalar is fixed and a mapping is a choice.

    width_multiplier: {choice: [0.5, 1]}
    stem: {block: conv, width: 32, stride: 2}
    defaults: {block: {choice: [inverted_residual, ghost]}}     # of every stage
    stages:
      - {depth: {int: [1, 4]}, width: 24, stride: 2, kernel: {choice: [3, 5]}}
    head: {head: classifier, width: 1280}

`blocks` gives names of the space's own to blocks with settings, for layers that differ in several
settings at once: `blocks: {small: {block: ghost, kernel: 3, ratio: 4}}`, `block: {choice: [small,
fire]}`. What such a name settles, no stage sets.

A parameter's name is its path, `stages.0.kernel`. The space is rectangular: every point has a
value for every parameter, and one that the chosen block does not read is inactive. A default that
no block of a stage reads makes no parameter there. `width: same` keeps the width before the stage.

The width multiplier α applies to the widths of stem and stages before they are rounded to
`divisor` (8 where not given), and to the head's width only when α > 1, as in MobileNetV2. The
resolution multiplier ρ applies to the deployed resolution, rounded to 32.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nas.arch import Architecture, Stage, graph_id, trace
from nas.blocks import BLOCKS, HEADS, round_width
from nas.cost import Cost, cost
from nas.graph import Graph

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Value: TypeAlias = bool | int | float | str
Params: TypeAlias = dict[str, Value]
RESOLUTION = 224
SAME = "same"  # a stage's width: that of the place before it


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, without an order."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Int:
    """An integer from `low` up to and with `high`."""

    low: int
    high: int

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(range(self.low, self.high + 1))


Parameter: TypeAlias = Choice | Int


@dataclass(frozen=True, slots=True)
class Form:
    """A registered block by name, with the settings that a space's own name for it settles."""

    block: str
    settings: tuple[tuple[str, Value], ...] = ()

    @property
    def cls(self) -> type:
        return BLOCKS[self.block]

    @property
    def free(self) -> tuple[str, ...]:
        """The block's fields that a stage may set."""
        settled = dict(self.settings)
        return tuple(f.name for f in fields(self.cls) if f.name not in settled)


def registered() -> dict[str, Form]:
    """Every registered block as it is."""
    return {name: Form(name) for name in BLOCKS}


class Candidate(NamedTuple):
    """A point of a space with what is known of it before it is built."""

    params: Params
    arch: Architecture
    cost: Cost

    @property
    def graph(self) -> Graph:
        """Traced when asked for: most candidates are judged by their cost alone."""
        return trace(self.arch)

    @property
    def id(self) -> str:
        return _identity(self.arch)


@lru_cache(maxsize=2**10)
def _identity(arch: Architecture) -> str:
    """Asked for by whoever admits a candidate, and by whoever records it."""
    return graph_id(trace(arch))


@dataclass(frozen=True, eq=False)
class Space:
    """Parameters by path, the values that are fixed, and what they make at one resolution."""

    name: str
    text: str = field(repr=False)
    parameters: Mapping[str, Parameter]
    fixed: Mapping[str, Value] = field(repr=False)
    stages: int
    own: Mapping[str, Form] = field(default_factory=dict, repr=False)  # names under `blocks`
    about: str = ""
    resolution: int = RESOLUTION
    classes: int = 1000

    def bind(self, *, resolution: int | None = None, classes: int | None = None) -> Space:
        """The same space for another deployed resolution in pixels or number of classes."""
        return replace(
            self,
            resolution=resolution or self.resolution,
            classes=classes or self.classes,
        )

    @property
    def size(self) -> int:
        """Number of parameter settings, an upper bound on distinct architectures."""
        return prod(len(parameter.values) for parameter in self.parameters.values())

    def architecture(self, params: Mapping[str, Value]) -> Architecture:
        """The architecture of a complete setting."""
        values = {**self.fixed, **params}
        alpha = float(values.get("width_multiplier", 1))
        side = deployed_side(self.resolution, float(values.get("resolution_multiplier", 1)))
        stem, *stages = self._body(values, alpha)
        return Architecture(
            input=(3, side, side),
            stem=stem,
            stages=tuple(stages),
            head=self._head(values, alpha),
            classes=self.classes,
        )

    def candidate(self, params: Params) -> Candidate:
        """The architecture of a setting and its cost."""
        arch = self.architecture(params)
        return Candidate(params, arch, cost(arch))

    def suggest(self, trial: BaseTrial) -> Architecture:
        """The architecture that an Optuna trial suggests."""
        params: Params = {}
        for path, parameter in self.parameters.items():
            if isinstance(parameter, Int):
                params[path] = trial.suggest_int(path, parameter.low, parameter.high)
            else:
                params[path] = trial.suggest_categorical(path, parameter.values)  # type: ignore[assignment]
        return self.architecture(params)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by parameter."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            path: IntDistribution(p.low, p.high)
            if isinstance(p, Int)
            else CategoricalDistribution(p.values)
            for path, p in self.parameters.items()
        }

    def has(self, params: Mapping[str, Any]) -> bool:
        """Whether these are a point: a value of every parameter, and nothing else."""
        return params.keys() == self.parameters.keys() and all(
            value in self._values[path] for path, value in params.items()
        )

    def sample(self, rng: random.Random) -> Params:
        """A setting with every parameter drawn evenly."""
        return {path: rng.choice(values) for path, values in self._values.items()}

    def neighbour(self, params: Params, rng: random.Random) -> Params:
        """A setting that differs from `params` in one parameter."""
        path = rng.choice(list(self._values))
        others = [value for value in self._values[path] if value != params[path]]
        return {**params, path: rng.choice(others)}

    def settings(self) -> Iterator[Params]:
        """Every setting, in order; only for small spaces."""
        for values in product(*self._values.values()):
            yield dict(zip(self._values, values, strict=True))

    def descend(self, start: Params, score: Callable[[Candidate], float]) -> tuple[float, Params]:
        """Coordinate descent of a score from a setting, to a setting that no one change betters."""
        best, params = self._score(start, score), start
        improved = True
        while improved:
            improved = False
            for path, values in self._values.items():
                for value in values:
                    if value == params[path]:
                        continue
                    trial = {**params, path: value}
                    if (s := self._score(trial, score)) < best:
                        best, params, improved = s, trial, True
        return best, params

    def minimise(self, score: Callable[[Candidate], float], *, seed: int = 0) -> Candidate:
        """The candidate of the smallest score found by coordinate descent.

        It starts from a random setting and from one for each block family alone, since a family
        cannot be left one stage at a time where neighbours must fit.
        """
        start = self.sample(random.Random(seed))
        starts = [start, *({**start, **family} for family in self.families().values())]
        _, params = min((self.descend(s, score) for s in starts), key=lambda found: found[0])
        return self.candidate(params)

    def families(self) -> dict[str, Params]:
        """By the blocks that places choose from: the settings by which all that can are of one."""
        choices = {path: values for path, values in self._values.items() if path.endswith(".block")}
        names = sorted({str(name) for values in choices.values() for name in values})
        return {
            name: {path: name for path, values in choices.items() if name in values}
            for name in names
        }

    @cached_property
    def mixed(self) -> bool:
        """Whether a place chooses between families of blocks; identity is of any."""
        return any(
            len({self.forms[str(name)].block for name in values} - {"identity"}) > 1
            for path, values in self._values.items()
            if path.endswith(".block")
        )

    def _score(self, params: Params, score: Callable[[Candidate], float]) -> float:
        try:
            return score(self.candidate(params))
        except Exception:  # a user's block may raise anything; such a setting is never the best
            return float("inf")

    @cached_property
    def _values(self) -> dict[str, tuple[Value, ...]]:
        return {path: parameter.values for path, parameter in self.parameters.items()}

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return tuple(f"stages.{i}" for i in range(self.stages))

    @cached_property
    def forms(self) -> Mapping[str, Form]:
        """What the values of a `block` mean: the registered blocks and the space's own names."""
        return {**registered(), **self.own}

    @cached_property
    def _reads(self) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
        """(place, block) → the fields of that block that this space sets, with their paths."""
        paths = {*self.fixed, *self.parameters}
        heads = {name: tuple(f.name for f in fields(cls)) for name, cls in HEADS.items()}
        blocks = {name: form.free for name, form in self.forms.items()}
        return {
            (place, name): tuple((key, path) for key in free if (path := f"{place}.{key}") in paths)
            for place in ("stem", "head", *self._places)
            for name, free in (heads if place == "head" else blocks).items()
        }

    def _body(self, values: Mapping[str, Any], alpha: float) -> Iterator[Stage]:
        """The stem, then the stages."""
        width = 0
        for place in ("stem", *self._places):
            if (own := values[f"{place}.width"]) != SAME:
                width = round_width(own * alpha, values["divisor"])
            name = values[f"{place}.block"]
            form = self.forms[name]
            given = tuple((key, values[path]) for key, path in self._reads[place, name])
            block = _instance(form.cls, form.settings + given)
            yield Stage(block, values[f"{place}.depth"], width, values[f"{place}.stride"])

    def _head(self, values: Mapping[str, Any], alpha: float) -> Any:
        name = values["head.head"]
        settings = {key: values[path] for key, path in self._reads["head", name]}
        if alpha > 1 and settings.get("width"):
            settings["width"] = round_width(settings["width"] * alpha, values["divisor"])
        return _instance(HEADS[name], tuple(settings.items()))


@lru_cache(maxsize=2**14)
def _instance(cls: type, settings: tuple[tuple[str, Value], ...]) -> Any:
    return cls(**dict(settings))


def deployed_side(resolution: int, rho: float = 1.0) -> int:
    """Pixels of the deployed network's input: `resolution` · ρ, rounded to 32, at least 32."""
    return max(32, round(resolution * rho / 32) * 32)


def proxy_side(side: int, resolution: int, proxy_resolution: int) -> int:
    """Pixels of the proxy's input: `proxy_resolution` · ρ, rounded to 4, at least 4.

    ρ is the deployed `side` over the deployed resolution, so that equal architectures have equal
    proxies.
    """
    return max(4, round(proxy_resolution * side / resolution / 4) * 4)
