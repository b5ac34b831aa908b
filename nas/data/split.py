"""The split belongs to the data: it is fixed, stratified by class, and knows no seed of a run.

No test part: train, validation, test are 60/20/20. A test part: validation is a fifth of the
training part, at most 10,000 images. A validation part is taken as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nas.data.images import Images, Parts
from nas.errors import InputError

MOST_VALIDATION = 10_000
FEWEST = 5  # images of a class: one for validation, one for test, three to learn from


def split(parts: Parts, where: str) -> tuple[Images, Images, Images | None]:
    """Train, validation and test, each in stratified order; raises InputError."""
    whole, test = parts.train, parts.test and _ordered(parts.test)
    if parts.validation is not None:
        return _ordered(whole), _ordered(parts.validation), test
    _check_counts(parts, where)
    if test is not None:
        validation, train = cut(whole.y, min(len(whole) // 5, MOST_VALIDATION))
        return whole.take(train), whole.take(validation), test
    validation, rest = cut(whole.y, len(whole) // 5)
    tested, train = cut(whole.y[rest], len(rest) // 4)
    return whole.take(rest[train]), whole.take(validation), whole.take(rest[tested])


def cut(y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Indices of a stratified sample of `count` images and of the rest, for labels y (n,)."""
    order = stratified_order(y)
    return order[:count], order[count:]


def stratified_order(y: Tensor) -> Tensor:
    """A fixed shuffled order of labels y (n,) of which every prefix has the classes' proportions.

    The k-th image of a class of m comes at (k + ½)/m of the way, so that a class of five images
    or more is in every fifth.
    """
    # RandomState, since NumPy has frozen its stream: the split outlives NumPy's releases.
    shuffled = np.random.RandomState(0).permutation(len(y))
    labels = y.numpy()[shuffled]
    counts = np.bincount(labels)
    by_class = np.argsort(labels, kind="stable")
    rank = np.empty(len(y))
    rank[by_class] = np.arange(len(y)) - (np.cumsum(counts) - counts)[labels[by_class]]
    return torch.from_numpy(shuffled[np.argsort((rank + 0.5) / counts[labels], kind="stable")])


def _ordered(images: Images) -> Images:
    return images.take(stratified_order(images.y))


def _check_counts(parts: Parts, where: str) -> None:
    counts = torch.bincount(parts.train.y, minlength=len(parts.classes)).tolist()
    for name, count in zip(parts.classes, counts, strict=True):
        if count < FEWEST:
            raise InputError(
                f"{where}: class {name!r} has {count} image{'s' * (count != 1)} to train and "
                f"validate with, a class needs at least {FEWEST}"
            )
