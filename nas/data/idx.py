"""MNIST's IDX files, plain or gzip: Fashion-MNIST as Debian packages it, and its kin.

An IDX file: two zero bytes, the type (8 is uint8), the number of dimensions, each dimension as
big-endian uint32, then the values. http://yann.lecun.com/exdb/mnist
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from nas.data.arrays import Array, parts_of, to_images
from nas.data.images import Images, Parts
from nas.errors import InputError

FILES = {"train": "train", "test": "t10k"}  # part → how the names of its files begin


@dataclass(frozen=True, slots=True)
class IdxSet:
    """A data set in MNIST's four files; `folder` is where they lie unless --data-dir says."""

    name: str
    classes: tuple[str, ...]
    flip: bool
    folder: Path | None
    hint: str


FASHION = IdxSet(
    name="fashion-mnist",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    flip=True,
    folder=Path("/usr/share/datasets/fashion-mnist"),  # Debian's
    hint="apt install dataset-fashion-mnist, or give the folder of its IDX files with --data-dir",
)
MNIST = IdxSet(
    name="mnist",
    classes=tuple("0123456789"),
    flip=False,
    folder=None,
    hint="give the folder of its IDX files with --data-dir",
)


def load_idx(kind: IdxSet, data_dir: Path | None) -> Parts:
    """The data set from `data_dir` or its own folder; raises InputError."""
    folder = data_dir or kind.folder
    if folder is None:
        raise InputError(f"{kind.name}: no --data-dir: {kind.hint}")
    train, test = (_part(folder, part, kind) for part in FILES)
    return parts_of(train, test, names=kind.classes, flip=kind.flip, where=str(folder))


def _part(folder: Path, part: str, kind: IdxSet) -> Images:
    x = _read(_find(folder, f"{FILES[part]}-images-idx3-ubyte", kind), dimensions=3)
    y = _read(_find(folder, f"{FILES[part]}-labels-idx1-ubyte", kind), dimensions=1)
    return to_images({f"x_{part}": x, f"y_{part}": y}, part, folder)


def _find(folder: Path, name: str, kind: IdxSet) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{kind.name}: no file {folder / name} or {name}.gz: {kind.hint}")


def _read(path: Path, dimensions: int) -> Array:
    """uint8 values of the file; raises InputError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return _parse(cast(BinaryIO, stream), dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{path}: expected a whole IDX file of uint8 in {dimensions} dimension"
            f"{'s' * (dimensions > 1)} ({error})"
        ) from error


def _parse(stream: BinaryIO, dimensions: int) -> Array:
    magic = stream.read(4)
    if magic != bytes((0, 0, 8, dimensions)):
        raise ValueError(f"it begins with {magic.hex(' ') or 'nothing'}")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError("it ends within its header")
    shape = np.frombuffer(sizes, ">u4").tolist()
    count = math.prod(shape)
    values = stream.read(count + 1)  # a longer one is as wrong as a shorter one
    if len(values) != count:
        held = f"{len(values)}" if len(values) < count else "more"
        raise ValueError(f"its header promises {count} values of {shape}, it has {held}")
    return np.frombuffer(values, np.uint8).reshape(shape)
