"""Where a model's weights come from: a mapping, or a random generator."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas.errors import InputError

Array: TypeAlias = NDArray[np.float32]


class Random:
    """Weights that keep the variance of activations, repeated from one pool since it is fast."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pool = self.rng.standard_normal(2**17 - 1, dtype=np.float32)

    def weight(self, name: str, shape: tuple[int, ...], gain: float) -> Array:
        start = self.rng.integers(len(self.pool) // 2)
        return np.resize(self.pool[start:], shape) * np.float32(sqrt(gain / prod(shape[1:])))

    def vector(self, name: str, size: int, usual: float) -> Array:
        return np.full(size, usual, np.float32)


class Given:
    """Weights from a mapping; a missing or misshapen one raises InputError."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights

    def weight(self, name: str, shape: tuple[int, ...], gain: float = 1) -> Array:
        if name not in self.weights:
            raise InputError(f"weights: {name} is missing")
        array = np.asarray(self.weights[name], np.float32)
        if array.shape != shape:
            raise InputError(f"weights: {name}: expected the shape {shape}, got {array.shape}")
        return array

    def vector(self, name: str, size: int, usual: float) -> Array:
        return self.weight(name, (size,))
