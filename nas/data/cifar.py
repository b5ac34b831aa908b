"""CIFAR-10 (Krizhevsky 2009): the binary version's folder or archive, or an .npz.

A record is a label byte and 3 × 32 × 32 pixels. The Python version is pickled, and a pickle can
run code; it is recognised, never read.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nas.data.arrays import load_npz, parts_of, to_images
from nas.data.images import Images, Parts
from nas.errors import InputError

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
PICKLED = ("cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1")
FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
    "classes": ("batches.meta.txt",),
}
NAMES = frozenset(name for names in FILES.values() for name in names)
RECORD = 1 + 3 * 32 * 32
LARGEST = 64 * 2**20  # bytes; a batch has 31 MB
WANTED = (
    f"give the folder {FOLDER}, the archive {ARCHIVE} (the binary version of "
    "https://www.cs.toronto.edu/~kriz/cifar.html) or an .npz with --data-dir"
)


def load_cifar10(data_dir: Path | None) -> Parts:
    """CIFAR-10 from a folder, the archive or an .npz; raises InputError."""
    if data_dir is None:
        raise InputError(f"cifar10: no --data-dir: {WANTED}")
    place = _find(data_dir)
    if place.suffix == ".npz":
        return load_npz(place)
    files = _read_folder(place) if place.is_dir() else _read_archive(place)
    return _parse(files, place)


def _find(place: Path) -> Path:
    """The folder of batches, the archive or the .npz that `place` is or holds."""
    _refuse_pickles(place)
    if place.is_file() and place.name.endswith((".npz", ".tar.gz", ".tgz", ".tar")):
        return place
    if not place.is_dir():
        raise InputError(f"cifar10: {place} is no folder, .tar.gz or .npz: {WANTED}")
    for folder in (place, place / FOLDER):
        if any((folder / name).is_file() for name in NAMES):
            return folder
    if (place / ARCHIVE).is_file():
        return place / ARCHIVE
    return _only_npz(place)


def _only_npz(folder: Path) -> Path:
    found = sorted(folder.glob("*.npz"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"cifar10: {folder} has several .npz ({names}): name one with --data-dir")
    if not found:
        for name in PICKLED:
            _refuse_pickles(folder / name)
        raise InputError(f"cifar10: {folder} has neither batches nor an .npz: {WANTED}")
    return found[0]


def _refuse_pickles(place: Path, name: str | None = None) -> None:
    """Raises InputError where `name` (default: the place's own) is of the Python version."""
    if (name or place.name) in PICKLED and place.exists():
        raise InputError(
            f"cifar10: {place} is the pickled Python version, which could run code: {WANTED}"
        )


def _read_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).is_file()}
    except OSError as error:
        raise InputError(f"cifar10: {folder}: expected readable files ({error})") from error


def _read_archive(path: Path) -> dict[str, bytes]:
    """The files by name. Nothing is unpacked to disk, so no member's path can do harm."""
    files = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                _refuse_pickles(path, name)
                if member.isreg() and name in NAMES and member.size <= LARGEST:
                    stream = archive.extractfile(member)
                    files[name] = stream.read() if stream else b""
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(f"cifar10: {path}: expected a whole {ARCHIVE} ({error})") from error
    return files


def _parse(files: Mapping[str, bytes], place: Path) -> Parts:
    missing = sorted(NAMES - files.keys())
    if missing:
        raise InputError(f"cifar10: {place} lacks {', '.join(missing)}: {WANTED}")
    (meta,) = FILES["classes"]
    names = files[meta].decode("utf-8", "replace").split()
    train, test = (_records(files, part, place) for part in ("train", "test"))
    return parts_of(train, test, names=names, where=str(place))


def _records(files: Mapping[str, bytes], part: str, place: Path) -> Images:
    for name in FILES[part]:
        size = len(files[name])
        if size == 0 or size % RECORD:
            raise InputError(
                f"cifar10: {place}: {name}: expected records of {RECORD} bytes, got {size} bytes"
            )
    raw = np.frombuffer(bytearray().join(files[name] for name in FILES[part]), np.uint8)
    table = raw.reshape(-1, RECORD)
    x = table[:, 1:].reshape(-1, 3, 32, 32)
    return to_images({f"x_{part}": x, f"y_{part}": table[:, 0]}, part, place)
