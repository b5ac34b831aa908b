"""The recipe of a brief training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.arch import hint, load_yaml, mapping, validated
from nas.errors import InputError

NUMBER = re.compile(r"[\d.]+e[+-]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a candidate is trained briefly; `proxy_resolution` is in pixels, before ρ.

    SGD with Nesterov momentum on a one-cycle schedule, cross-entropy with smoothed labels. At most
    `subset` training images are used, in the classes' proportions. `stem_stride: 1` gives the
    proxy the stem of the networks for CIFAR and takes four times as long. One thread of torch by
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
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "subset", "proxy_resolution", "learning_rate", "threads"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(
                    f"recipe: {name}: expected a number above zero, got {getattr(self, name)!r}"
                )
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"recipe: weight_decay: expected 0 or more, got {self.weight_decay!r}")
        if self.stem_stride not in (None, 1, 2):
            raise InputError(f"recipe: stem_stride: expected 1 or 2, got {self.stem_stride!r}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"recipe: {name}: expected 0 up to 1, got {getattr(self, name)!r}")
        if self.batch < 2:
            raise InputError("recipe: batch: batch norm needs 2 images or more, got 1")

    @classmethod
    def from_dict(cls, data: Any, where: str = "recipe") -> Recipe:
        """Read plain data; raises InputError with the place of what is wrong."""
        known = list(cls.__dataclass_fields__)
        for key in mapping(data, where):
            if key not in known:
                raise InputError(f"{where}: unknown key {key!r}; {hint(key, known)}")
        # YAML 1.1 takes 1e-3, without a point and a sign, for text.
        read = {k: float(v) if NUMBER.fullmatch(str(v)) else v for k, v in data.items()}
        recipe: Recipe = validated(cls, read, where)
        return recipe

    def but(self, **fields: Any) -> Recipe:
        """The same recipe with other values for the fields that are not None."""
        return replace(self, **{key: value for key, value in fields.items() if value is not None})

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Read a recipe file; raises InputError."""
        return cls.from_dict(load_yaml(path), f"{path}: recipe")
