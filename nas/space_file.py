"""Reading search spaces; every message says file, path, value, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

from nas.arch import (
    STAGE_KEYS,
    dump_yaml,
    find,
    hint,
    load_yaml,
    mapping,
    parse_block,
    validated,
)
from nas.blocks import BLOCKS, HEADS
from nas.errors import InputError
from nas.space import SAME, Choice, Form, Int, Parameter, Space, Value, registered

MULTIPLIERS = ("width_multiplier", "resolution_multiplier")
KEYS = ("about", "divisor", *MULTIPLIERS, "blocks", "stem", "defaults", "stages", "head")
FOLDERS = (Path(__file__).parent / "search_spaces", Path(__file__).parent.parent / "search_spaces")


def space_names() -> list[str]:
    """The names of the spaces that come with the package."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})


def load_space(source: str | Path) -> Space:
    """A space by its name or its file; raises InputError with the place of what is wrong."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        if str(source) not in space_names():
            raise InputError(
                f"space {str(source)!r}: no such space, and not a .yaml file; "
                f"{hint(source, space_names())}"
            )
        path = next(p for folder in FOLDERS if (p := folder / f"{source}.yaml").exists())
    data = load_yaml(path)
    return parse_space(data, str(path), name=path.stem, text=path.read_text(encoding="utf-8"))


def parse_space(data: Any, where: str, *, name: str, text: str = "") -> Space:
    """A space from plain data; `where` begins every message."""
    data = mapping(data, where, known=KEYS, required=("stem", "stages", "head"))
    if not isinstance(data["stages"], list) or not data["stages"]:
        raise InputError(f"{where}: stages: expected a list of stages, got {data['stages']!r}")
    own = _forms(data.get("blocks", {}), f"{where}: blocks")
    forms = {**registered(), **own}
    defaults = mapping(data.get("defaults", {}), f"{where}: defaults")
    places = {
        "stem": {"depth": 1, "stride": 1, **mapping(data["stem"], f"{where}: stem")},
        "head": mapping(data["head"], f"{where}: head"),
    }
    for i, stage in enumerate(data["stages"]):
        given = mapping(stage, f"{where}: stages.{i}")
        places[f"stages.{i}"] = {"depth": 1, "stride": 1, **defaults, **given}

    flat: dict[str, Any] = {"divisor": data.get("divisor", 8)}
    for key in MULTIPLIERS:
        flat[key] = data.get(key, 1)
    for place, settings in places.items():
        flat |= {f"{place}.{key}": value for key, value in settings.items()}
    entries = {path: _expression(value, f"{where}: {path}") for path, value in flat.items()}

    for place, settings in places.items():
        named = {key: entries[f"{place}.{key}"] for key in settings}
        shared = () if place in ("stem", "head") else defaults
        for key in _check_place(where, place, named, forms, inherited=shared):
            del entries[f"{place}.{key}"]
    for path in ("divisor", *MULTIPLIERS):
        _check_numbers(entries[path], f"{where}: {path}", whole=path == "divisor")
    _check_defaults(where, defaults, entries, forms, len(data["stages"]))
    return Space(
        name=name,
        text=text or dump_yaml(data),
        parameters={p: e for p, e in entries.items() if isinstance(e, Choice | Int)},
        fixed={p: e for p, e in entries.items() if not isinstance(e, Choice | Int)},
        stages=len(data["stages"]),
        own=own,
        about=str(data.get("about", "")),
    )


def _forms(data: Any, where: str) -> dict[str, Form]:
    """The space's own names of blocks with settings."""
    forms = {}
    for name, settings in mapping(data, where).items():
        if not isinstance(name, str) or name in BLOCKS:
            raise InputError(f"{where}.{name}: expected a name that no block has")
        given = mapping(settings, f"{where}.{name}", required=("block",))
        rest = {key: _scalar(value) for key, value in given.items() if key != "block"}
        parse_block(given["block"], rest, f"{where}.{name}")
        forms[name] = Form(given["block"], tuple(rest.items()))
    return forms


def _expression(value: Any, where: str) -> Value | Parameter:
    """A fixed value, or a parameter; a choice of one value is fixed."""
    if isinstance(value, dict):
        if set(value) == {"choice"}:
            return _choice(value["choice"], f"{where}.choice")
        if set(value) == {"int"}:
            return _range(value["int"], f"{where}.int")
    elif isinstance(value, bool | int | float | str):
        return _scalar(value)
    raise InputError(
        f"{where}: expected a value, {{choice: [a, b]}} or {{int: [low, high]}}, got {value!r}"
    )


def _choice(values: Any, where: str) -> Value | Choice:
    scalars = isinstance(values, list) and all(
        isinstance(v, bool | int | float | str) for v in values
    )
    if not scalars or not values:
        raise InputError(f"{where}: expected a list of values, got {values!r}")
    found = tuple(_scalar(value) for value in values)
    if len(set(found)) < len(found):
        raise InputError(f"{where}: expected distinct values, got {values!r}")
    return found[0] if len(found) == 1 else Choice(found)


def _range(bounds: Any, where: str) -> Value | Int:
    whole = isinstance(bounds, list) and all(type(bound) is int for bound in bounds)
    if not whole or len(bounds) != 2 or bounds[0] > bounds[1]:
        raise InputError(f"{where}: expected [low, high] with low ≤ high, got {bounds!r}")
    low, high = bounds
    return low if low == high else Int(low, high)


def _scalar(value: Value) -> Value:
    """Fractions such as 4/7 are numbers."""
    if isinstance(value, str) and re.fullmatch(r"\d+/[1-9]\d*", value):
        return float(Fraction(value))
    return value


def _values_of(entry: Value | Parameter) -> tuple[Value, ...]:
    return entry.values if isinstance(entry, Choice | Int) else (entry,)


def _check_place(
    where: str,
    place: str,
    given: Mapping[str, Any],
    forms: Mapping[str, Form],
    *,
    inherited: Mapping[str, Any] | tuple[()],
) -> list[str]:
    """Every value of every parameter must suit a block that the place can have.

    Returns the inherited parameters that none of its blocks reads.
    """
    kind = "head" if place == "head" else "block"
    own = () if kind == "head" else STAGE_KEYS
    for key in (kind,) if kind == "head" else (kind, "width"):
        if key not in given:
            raise InputError(f"{where}: {place}.{key} is missing")
    names = _values_of(given[kind])
    options = _options(place, forms)
    chosen = [find(options, name, kind, f"{where}: {place}.{kind}") for name in names]
    unread = []
    for key, entry in given.items():
        if key == kind or (key == "width" and entry == SAME and place != "stem"):
            continue
        spot = f"{where}: {place}.{key}"
        if key in own:
            _check_numbers(entry, spot, whole=key != "width")
        elif readers := [cls for cls, free in chosen if key in free]:
            for value, cls in product(_values_of(entry), readers):
                validated(cls, {key: value}, f"{where}: {place}")
        elif key in inherited:
            unread.append(key)
        else:
            known = {field for _, free in chosen for field in free}
            raise InputError(
                f"{spot}: no such parameter of {', '.join(map(str, names))}; "
                f"{hint(key, sorted(known | set(own)))}"
            )
    return unread


def _options(place: str, forms: Mapping[str, Form]) -> Mapping[str, tuple[type, tuple[str, ...]]]:
    """What a place may hold by name: the class, and those of its fields that the place sets."""
    if place == "head":
        return {name: (cls, tuple(f.name for f in fields(cls))) for name, cls in HEADS.items()}
    return {name: (form.cls, form.free) for name, form in forms.items()}


def _check_defaults(
    where: str,
    defaults: Mapping[str, Any],
    entries: Mapping[str, Any],
    forms: Mapping[str, Form],
    stages: int,
) -> None:
    """A default that no block of any stage reads is a slip of the pen."""
    names = {v for i in range(stages) for v in _values_of(entries[f"stages.{i}.block"])}
    known = {field for name in names for field in forms[str(name)].free} | set(STAGE_KEYS)
    for key in defaults:
        if key not in known:
            raise InputError(
                f"{where}: defaults.{key}: no block of the stages has this parameter; "
                f"{hint(key, sorted(known))}"
            )


def _check_numbers(entry: Value | Parameter, where: str, *, whole: bool) -> None:
    kinds = (int,) if whole else (int, float)
    for value in _values_of(entry):
        if isinstance(value, bool) or not isinstance(value, kinds) or value <= 0:
            expected = "a positive int" if whole else "a positive number"
            raise InputError(f"{where}: expected {expected} or {{choice: [...]}}, got {value!r}")
