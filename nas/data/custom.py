"""`module:function`, a function of the user's that returns two torch data sets."""

from __future__ import annotations

import difflib
import importlib
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from nas.data.arrays import Array, labels, parts_of, to_uint8
from nas.data.images import Images, Parts
from nas.errors import InputError

EXPECTED = "a training and a test data set (or None), each with items (image, label)"


def load_function(spec: str) -> Parts:
    """Data sets of `module:function()`, found from the working directory; raises InputError.

    An image is (c, h, w), uint8 or floats in [0, 1], all of one shape; a label is an int. The
    training set's attribute `classes`, if any, names the classes.
    """
    with _working_directory():
        result = _call(_function(spec), spec)
        if not (isinstance(result, (tuple, list)) and len(result) == 2 and result[0] is not None):
            raise InputError(f"{spec}: expected {EXPECTED}, got {_kind(result)}")
        train = _images(result[0], f"{spec}: training set")
        test = None if result[1] is None else _images(result[1], f"{spec}: test set")
    return parts_of(train, test, names=_names(result[0]), where=spec)


@contextmanager
def _working_directory() -> Iterator[None]:
    """Imports find the working directory, as they do under `python -m`."""
    before, here = sys.path[:], str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path[:] = before


def _function(spec: str) -> Callable[[], Any]:
    module_name, _, name = spec.partition(":")
    module = _import(module_name, spec)
    function = getattr(module, name, None)
    if not callable(function):
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{spec}: expected a function {name} in {module.__file__}{hint}")
    found: Callable[[], Any] = function
    return found


def _import(name: str, spec: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        if missing:
            place = f"the working directory {Path.cwd()} or on the Python path"
            raise InputError(f"{spec}: expected a module {name} in {place}") from error
        raise InputError(f"{spec}: importing {name} raised {_text(error)}") from error


def _call(function: Callable[[], Any], spec: str) -> Any:
    try:
        return function()
    except Exception as error:
        raise InputError(f"{spec}: calling it without arguments raised {_text(error)}") from error


def _images(dataset: Any, where: str) -> Images:
    x: list[Array] = []
    y: list[int] = []
    for item in _items(dataset, where):
        at = f"{where}: item {len(y)}"
        if not (isinstance(item, (tuple, list)) and len(item) == 2):
            raise InputError(f"{at}: expected (image, label), got {_kind(item)}")
        x.append(_image(item[0], at))
        y.append(_label(item[1], at))
        if x[-1].shape != x[0].shape:
            raise InputError(f"{at}: expected the first one's {x[0].shape}, got {x[-1].shape}")
    if not x:
        raise InputError(f"{where}: expected images, got none")
    return Images(torch.from_numpy(np.stack(x)), labels(np.array(y), where))


def _items(dataset: Any, where: str) -> Iterator[Any]:
    """The items: by index where the set has a length, for its iterator may know no end."""
    by_index, iterable = (hasattr(dataset, name) for name in ("__getitem__", "__iter__"))
    if not (by_index or iterable):
        raise InputError(f"{where}: expected a torch data set, got {_kind(dataset)}")
    count = 0
    try:
        sized = by_index and hasattr(dataset, "__len__")
        for item in map(dataset.__getitem__, range(len(dataset))) if sized else dataset:
            yield item
            count += 1
    except Exception as error:
        raise InputError(f"{where}: reading item {count} raised {_text(error)}") from error


def _image(image: Any, where: str) -> Array:
    """uint8 (c, h, w)."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().numpy()
    if not isinstance(image, np.ndarray):
        raise InputError(f"{where}: expected a tensor (c, h, w), got {_kind(image)}")
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.size == 0:
        raise InputError(f"{where}: expected an image (1 or 3, h, w), got {image.shape}")
    return to_uint8(image, where).copy()  # a data set may fill one buffer again and again


def _label(label: Any, where: str) -> int:
    try:
        return operator.index(label)
    except TypeError as error:
        raise InputError(f"{where}: expected an int as the label, got {_kind(label)}") from error


def _names(dataset: Any) -> list[str] | None:
    """The data set's `classes` where they are names, as torchvision's data sets have them."""
    names = getattr(dataset, "classes", None)
    named = isinstance(names, (tuple, list)) and all(isinstance(name, str) for name in names)
    return list(names) if named and names else None


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else type(value).__name__


def _text(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())  # one line of it
