"""NumPy arrays, checked, as images; .npz files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.images import Images, Parts
from nas.errors import InputError

Array = NDArray[Any]
CHUNK = 1024
UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, MemoryError, BadZipFile, zlib.error)
KEYS = ("x_train", "y_train", "x_test", "y_test", "classes")
LAYOUTS = "(n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w)"


def load_npz(path: Path) -> Parts:
    """x_train, y_train and, where given, x_test, y_test and classes (names); raises InputError."""
    arrays, found = _read_npz(path)
    test = "x_test" in arrays or "y_test" in arrays
    for key in KEYS[: 4 if test else 2]:
        if key not in arrays:
            held = ", ".join(found) or "nothing"
            raise InputError(f"{path}: expected an array {key}, the file holds {held}")
    parts = [to_images(arrays, part, path) for part in ("train", "test")[: 1 + test]]
    return parts_of(*parts, names=_names(arrays, path), where=str(path))


def to_images(arrays: Mapping[str, Array], part: str, path: Path) -> Images:
    """Images of x_`part` and y_`part`; raises InputError."""
    x = pixels(arrays[f"x_{part}"], f"{path}: x_{part}")
    y = labels(arrays[f"y_{part}"], f"{path}: y_{part}")
    if len(x) != len(y):
        raise InputError(
            f"{path}: expected as many labels as images, "
            f"x_{part} has {len(x)} and y_{part} has {len(y)}"
        )
    return Images(x, y)


def parts_of(
    train: Images,
    test: Images | None = None,
    *,
    where: str,
    names: Sequence[str] | None = None,
    flip: bool | None = None,
) -> Parts:
    """Parts whose labels are checked against the classes' names (default: their numbers).

    Unless `flip` says otherwise, grey images are not flipped: most are digits and letters.
    """
    classes = tuple(names or map(str, range(_count_classes(train, where))))
    check_classes(classes, where)
    for part, images in (("training", train), ("test", test)):
        if images is not None:
            _check_range(images.y, len(classes), f"{where}: {part} labels")
    if test is not None and test.x.shape[1:] != train.x.shape[1:]:
        raise InputError(
            f"{where}: expected test images of the training images' shape "
            f"{tuple(train.x.shape[1:])}, got {tuple(test.x.shape[1:])}"
        )
    return Parts(train, classes, train.x.shape[1] == 3 if flip is None else flip, test=test)


def check_classes(classes: Sequence[str], where: str) -> None:
    """Raises InputError where there is nothing to tell apart."""
    if len(classes) < 2:
        raise InputError(f"{where}: expected at least two classes, got only {classes[0]!r}")


def pixels(x: Array, where: str) -> Tensor:
    """uint8 (n, c, h, w) of an array in one of LAYOUTS; raises InputError."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    elif x.ndim != 4 or x.shape[1] not in (1, 3):
        raise InputError(f"{where}: expected the shape {LAYOUTS}, got {x.shape}")
    if x.size == 0:
        raise InputError(f"{where}: expected images, got none: the shape is {x.shape}")
    # Torch warns of arrays that it must not write to.
    return torch.from_numpy(np.require(to_uint8(x, where), requirements=["C", "W"]))


def to_uint8(x: Array, where: str) -> Array:
    """Pixels as uint8; floats in [0, 1] are scaled by 255 and rounded. Raises InputError."""
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise InputError(f"{where}: expected uint8 or floats in [0, 1], got {x.dtype}")
    low, high = x.min(), x.max()
    if not (low >= 0 and high <= 1):  # also where either is NaN
        raise InputError(f"{where}: expected floats in [0, 1], got {low:.4g} to {high:.4g}")
    out = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), CHUNK):  # never all of them as floats twice
        chunk = slice(start, start + CHUNK)
        out[chunk] = np.rint(x[chunk] * np.float32(255))
    return out


def labels(y: Array, where: str) -> Tensor:
    """int64 (n,) of integers in (n,) or (n, 1); raises InputError."""
    flat = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    if not flat or y.dtype.kind not in "iu":
        raise InputError(f"{where}: expected integers of the shape (n,), got {y.dtype} {y.shape}")
    return torch.from_numpy(y.reshape(-1).astype(np.int64))


def _count_classes(train: Images, where: str) -> int:
    found = np.unique(train.y.numpy()).tolist()
    if found != list(range(len(found))):
        raise InputError(
            f"{where}: expected training labels from 0 on without a gap, "
            f"got {len(found)} different ones from {found[0]} to {found[-1]}"
        )
    return len(found)


def _check_range(y: Tensor, classes: int, where: str) -> None:
    wrong = ((y < 0) | (y >= classes)).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        raise InputError(f"{where}: expected 0 to {classes - 1}, got {int(y[first])} at {first}")


def _names(arrays: Mapping[str, Array], path: Path) -> list[str] | None:
    names = arrays.get("classes")
    if names is None:
        return None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InputError(
            f"{path}: classes: expected names, strings of the shape (k,), "
            f"got {names.dtype} {names.shape}"
        )
    return [str(name) for name in names]


def _read_npz(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays that are read and the names of all."""
    try:
        with path.open("rb") as stream:
            if not is_zipfile(stream):
                raise ValueError("it is no zip archive, or is cut off")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:  # a pickle can run code
                found = list(archive.files)
                arrays = {key: archive[key] for key in KEYS if key in found}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds other files than arrays")
        return arrays, found
    except UNREADABLE as error:
        raise InputError(
            f"{path}: expected a whole .npz of plain arrays, as numpy.savez writes it ({error})"
        ) from error
