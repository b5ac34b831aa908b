"""A folder of class folders of images, with `train`, `test` and `val` above them or without."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from nas.data.arrays import Array, check_classes
from nas.data.images import Images, Parts
from nas.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
PARTS = {"val": "validation", "validation": "validation", "test": "test"}
MOST_BROKEN = 0.01
log = logging.getLogger("nas")


def load_folder(root: Path, size: int) -> Parts:
    """RGB images of size × size: the centre, the shorter side scaled. Raises InputError.

    Class folders may have folders of their own. A broken image is skipped and logged.
    """
    folders = _folders(root)
    train = folders.get("train")
    if train is None or not _folders(train):  # a class may be called "train"
        classes = _classes(root)
        return Parts(_read(root, classes, size), classes, flip=True)
    classes = _classes(train)
    others = _other_parts(root, folders, classes)
    images = {part: _read(folder, classes, size) for part, folder in others.items()}
    whole = _read(train, classes, size)
    return Parts(whole, classes, True, images.get("validation"), images.get("test"))


def _other_parts(root: Path, folders: dict[str, Path], classes: Sequence[str]) -> dict[str, Path]:
    """Part → folder, of the parts beside `train`, each with the same classes."""
    if {"val", "validation"} <= folders.keys():
        raise InputError(f"{root}: expected one of the folders val and validation, got both")
    found = {part: folders[name] for name, part in PARTS.items() if name in folders}
    for folder in found.values():
        odd = sorted(_folders(folder).keys() ^ set(classes))
        if odd:
            where = "missing" if odd[0] in classes else "not in train"
            raise InputError(f"{folder}: expected the classes of train, {odd[0]!r} is {where}")
    return found


def _folders(root: Path) -> dict[str, Path]:
    """Visible folders by name, in order."""
    try:
        found = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"{root}: expected a readable folder ({error})") from error
    return {path.name: path for path in found if not path.name.startswith((".", "__"))}


def _classes(root: Path) -> tuple[str, ...]:
    classes = tuple(_folders(root))
    if not classes:
        raise InputError(f"{root}: expected a folder of images for each class, got no folder")
    check_classes(classes, str(root))
    return classes


def _read(root: Path, classes: Sequence[str], size: int) -> Images:
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = _images(root / name)
        paths += found
        labels += [label] * len(found)
    x, whole = _decode_all(root, paths, size)
    return Images(x, torch.tensor(labels)[whole])


def _images(folder: Path) -> list[Path]:
    found = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, followlinks=False)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )
    if not found:
        raise InputError(f"{folder}: expected images ({', '.join(SUFFIXES)}), found none")
    return found


def _decode_all(root: Path, paths: Sequence[Path], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (n, 3, size, size) of the whole images, and which of the paths they are."""
    Image.init()  # here, once: the threads below would race to load the formats
    x = np.empty((len(paths), 3, size, size), np.uint8)
    broken = {}
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        for index, image in enumerate(pool.map(lambda path: _decode(path, size), paths)):
            if isinstance(image, Exception):
                broken[index] = image
            else:
                x[index] = image.transpose(2, 0, 1)
    _report({paths[index]: error for index, error in broken.items()}, len(paths), root)
    whole = np.setdiff1d(np.arange(len(paths)), list(broken))
    return torch.from_numpy(x[whole] if broken else x), torch.from_numpy(whole)


def _decode(path: Path, size: int) -> Array | Exception:
    """uint8 (size, size, 3), or what is wrong with the file."""
    try:
        with Image.open(path) as image:
            image.draft(None, (2 * size, 2 * size))  # a JPEG shrinks while it is decoded
            upright = ImageOps.exif_transpose(image)
            return np.asarray(ImageOps.fit(_rgb(upright), (size, size), Image.Resampling.BILINEAR))
    except Exception as error:  # decoders raise all kinds of errors on broken files
        return error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would clip sixteen bits to eight, not scale them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")


def _report(broken: dict[Path, Exception], total: int, root: Path) -> None:
    """Log each broken image; raise InputError where they are over 1 % of a part's."""
    if len(broken) > MOST_BROKEN * total:
        path, error = next(iter(broken.items()))
        raise InputError(
            f"{root}: {len(broken)} of {total} images are broken, expected at most "
            f"{MOST_BROKEN:.0%}; the first is {path} ({error})"
        )
    for path, error in broken.items():
        log.warning("%s: broken image, skipped (%s)", path, error)
