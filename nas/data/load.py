"""`load_data`: what `--data` and `--data-dir` name, read, checked and split."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from nas.data.arrays import load_npz, parts_of, to_images
from nas.data.cifar import load_cifar10
from nas.data.custom import load_function
from nas.data.folder import load_folder
from nas.data.idx import FASHION, MNIST, load_idx
from nas.data.images import Data, Parts, content_id
from nas.data.split import split
from nas.errors import InputError

FUNCTION = re.compile(r"\w+(\.\w+)*:\w+")


def load_data(name: str, data_dir: str | Path | None = None, *, size: int = 64) -> Data:
    """The data set that `name` says, split for good.

    name: digits, fashion-mnist, mnist or cifar10; the path of a folder of class folders of images
    or of an .npz; or module:function. data_dir: where the files of a named set lie. size: the side
    in pixels to which a folder's images are scaled and cropped. Raises InputError.
    """
    if size < 1:
        raise InputError(f"size: expected pixels of a side, one or more, got {size}")
    parts = _read(name, data_dir, size)
    images = split(parts, where=name)
    content = content_id(*images, classes=len(parts.classes))
    return Data(name, *images, parts.classes, content, parts.flip)


def _read(name: str, data_dir: str | Path | None, size: int) -> Parts:
    path = Path(name).expanduser()
    if data_dir is not None and (name not in NAMED or name == "digits"):
        others = ", ".join(known for known in NAMED if known != "digits")
        raise InputError(f"--data-dir {data_dir}: it goes with {others}, got --data {name}")
    if name in NAMED:
        return NAMED[name](None if data_dir is None else Path(data_dir).expanduser())
    if name and path.is_dir():
        return load_folder(path, size)
    if path.is_file() and path.suffix == ".npz":
        return load_npz(path)
    if FUNCTION.fullmatch(name):
        return load_function(name)
    raise InputError(_unknown(name, path))


def _unknown(name: str, path: Path) -> str:
    accepted = f"{', '.join(NAMED)}, a folder of class folders, an .npz file or module:function"
    if path.is_file():
        return f"--data {name!r}: expected a folder or an .npz, got another file"
    if path.suffix == ".npz" or len(path.parts) > 1:
        return f"--data {name!r}: no such file or folder; expected {accepted}"
    near = difflib.get_close_matches(name.lower(), NAMED, n=2, cutoff=0.5)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"--data {name!r}: unknown name and no folder here{hint}; expected {accepted}"


def _load_digits(data_dir: Path | None) -> Parts:
    """scikit-learn's 1,797 digits of 8 × 8, embedded; 0 to 16 become 0 to 255."""
    from sklearn.datasets import load_digits  # a second to import

    bunch = load_digits()
    arrays = {"x_train": np.rint(bunch.images * (255 / 16)).astype(np.uint8)}
    train = to_images(arrays | {"y_train": bunch.target}, "train", Path("digits"))
    return parts_of(train, flip=False, where="digits")  # a mirrored 2 is no 2


NAMED: dict[str, Callable[[Path | None], Parts]] = {
    "digits": _load_digits,
    "fashion-mnist": partial(load_idx, FASHION),
    "mnist": partial(load_idx, MNIST),
    "cifar10": load_cifar10,
}
