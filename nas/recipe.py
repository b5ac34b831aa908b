"""Recipes: of a search's brief training, and of a full one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from nas.arch import hint, load_yaml, mapping, validated
from nas.errors import InputError

NUMBER = re.compile(r"[\d.]+e[+-]?\d+", re.IGNORECASE)


class Readable:
    """What recipes have in common: reading from plain data, and checks of their numbers."""

    __slots__ = ()

    @classmethod
    def from_dict(cls, data: Any, where: str = "recipe") -> Self:
        """Read plain data; raises InputError with the place of what is wrong."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for key in mapping(data, where):
            if key not in known:
                raise InputError(f"{where}: unknown key {key!r}; {hint(key, known)}")
        # YAML 1.1 takes 1e-3, without a point and a sign, for text.
        read = {k: float(v) if NUMBER.fullmatch(str(v)) else v for k, v in data.items()}
        recipe: Self = validated(cls, read, where)
        return recipe

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a recipe file; raises InputError."""
        return cls.from_dict(load_yaml(path), f"{path}: recipe")

    def but(self, **values: Any) -> Self:
        """The same recipe with these values, where they are not None."""
        given = {key: value for key, value in values.items() if value is not None}
        return replace(self, **given)  # type: ignore[type-var]

    def _check(self, rule: Callable[[Any], bool], expected: str, *names: str) -> None:
        """Raise InputError unless the rule holds for the fields; None stands for a default."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not rule(value):
                raise InputError(f"recipe: {name}: expected {expected}, got {value!r}")


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _share(value: float) -> bool:
    return 0 <= value < 1


def _not_negative(value: float) -> bool:
    return 0 <= value < math.inf


def _check_batch(batch: int) -> None:
    if batch < 2:
        raise InputError("recipe: batch: batch norm needs 2 images or more, got 1")


@dataclass(frozen=True, slots=True)
class Recipe(Readable):
    """How a candidate is trained briefly; `proxy_resolution` is in pixels, before ρ.

    SGD with Nesterov momentum on a one-cycle schedule, cross-entropy with smoothed labels. At most
    `subset` training images are used, in the classes' proportions. `stem_stride: 1` gives the
    proxy the stem of the networks for CIFAR and takes four times as long. `width` multiplies the
    proxy's widths before they are rounded to 8, the head's aside. One thread of torch by
    default: small images leave little to share, and results do not depend on the machine's cores.
    """

    epochs: int = 5
    batch: int = 32
    subset: int = 4000
    proxy_resolution: int = 32
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augment: bool = True
    stem_stride: int | None = None
    width: float = 1.0
    threads: int = 1

    def __post_init__(self) -> None:
        positive = ("epochs", "batch", "subset", "proxy_resolution", "learning_rate", "width")
        self._check(_positive, "a number above zero", *positive, "threads")
        self._check(_not_negative, "0 or more", "weight_decay")
        self._check(lambda stride: stride in (1, 2), "1 or 2", "stem_stride")
        self._check(_share, "0 up to 1", "momentum", "label_smoothing")
        _check_batch(self.batch)

    @classmethod
    def load(cls, source: str) -> Recipe:
        """A preset by its name, or a recipe file; raises InputError."""
        if source in PRESETS:
            return PRESETS[source]
        if Path(source).suffix not in (".yaml", ".yml"):
            raise InputError(
                f"recipe {source!r}: no such preset, and not a .yaml file; {hint(source, PRESETS)}"
            )
        return cls.from_yaml(source)


@dataclass(frozen=True, slots=True)
class FullRecipe(Readable):
    """How a network is trained to be used.

    SGD with Nesterov momentum or AdamW, a linear warm-up for a share of all steps, then half a
    cosine to zero. Without them, learning rate and weight decay are `DEFAULTS`, for batches of 64.
    `clip` bounds the norm of all gradients, which networks without batch norm need; 0 does not.

    `augment` moves images and mirrors them where the data allow it; `policy` adds a random
    operation to each colour image (`nas.data.policy`). `mixup` and `cutmix` are the α of their
    Beta distributions, 0 for none, and take turns on the share `mixed` of the batches
    (arXiv:1710.09412, 1905.04899). `average` is the share of all steps that the exponential moving
    average of the weights remembers. `amp`: 16-bit arithmetic, on CUDA. `threads` are torch's, all
    of the machine by default.
    """

    # optimiser → learning rate, weight decay
    DEFAULTS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "sgd": (0.05, 5e-4),
        "adamw": (0.002, 0.05),
    }
    epochs: int = 100
    batch: int = 64
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float = 0.9
    clip: float = 5.0
    warm_up: float = 0.05
    label_smoothing: float = 0.1
    augment: bool = True
    policy: bool = True
    mixup: float = 0.2
    cutmix: float = 1.0
    mixed: float = 0.5
    average: float = 0.05
    amp: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        positive = ("epochs", "batch", "learning_rate", "average", "threads")
        self._check(_positive, "a number above zero", *positive)
        self._check(_not_negative, "0 or more", "weight_decay", "clip", "mixup", "cutmix")
        self._check(_share, "0 up to 1", "momentum", "label_smoothing", "warm_up")
        self._check(lambda share: 0 <= share <= 1, "0 to 1", "mixed", "average")
        _check_batch(self.batch)

    @property
    def peak(self) -> float:
        """The learning rate after the warm-up."""
        rate = self.DEFAULTS[self.optimiser][0]
        return rate if self.learning_rate is None else self.learning_rate

    @property
    def decay(self) -> float:
        """The weight decay."""
        decay = self.DEFAULTS[self.optimiser][1]
        return decay if self.weight_decay is None else self.weight_decay


# By length, shortest first; docs/ranking.md says what each is for.
PRESETS = {
    "quick": Recipe(epochs=2),
    "standard": Recipe(),
    "thorough": Recipe(epochs=15, subset=10_000),
}
