"""An architecture: a stem, stages of blocks, a head. Frozen, hashable, YAML and back.

input: [3, 224, 224]
stem: {block: conv, width: 32, stride: 2}
stages:
  - {block: inverted_residual, depth: 2, width: 24, stride: 2, expansion: 6}
head: {head: classifier, width: 1280}
classes: 1000
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from nas.blocks import BLOCKS, HEADS, Block, Head, name_of
from nas.errors import InputError
from nas.graph import Graph, Tensor, fragment, record
from nas.layers import Shape

FORMAT = 1  # of architecture files
STAGE_KEYS = ("block", "depth", "width", "stride")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """`depth` blocks of `width` output channels; the first one has the stride."""

    block: Block
    depth: int
    width: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network as data; `input` is (channels, height, width) of an image."""

    input: Shape
    stem: Stage
    stages: tuple[Stage, ...]
    head: Head
    classes: int

    @property
    def id(self) -> str:
        """Twelve hex digits of the traced graph without paths, so that equal networks are one."""
        return graph_id(trace(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for YAML and JSON; `Architecture.from_dict` reads it back."""
        return {
            "format": FORMAT,
            "input": list(self.input),
            "stem": _stage_dict(self.stem),
            "stages": [_stage_dict(stage) for stage in self.stages],
            "head": {"head": name_of(self.head), **_settings(self.head)},
            "classes": self.classes,
        }

    @classmethod
    def from_dict(cls, data: Any, where: str = "architecture") -> Architecture:
        """Read plain data; raises InputError with the path of what is wrong."""
        keys = ("format", "input", "stem", "stages", "head", "classes")
        data = mapping(data, where, known=keys, required=keys[1:])
        if data.get("format", FORMAT) != FORMAT:
            raise InputError(
                f"{where}: format: this version reads format {FORMAT}, got {data['format']!r}"
            )
        size = data["input"]
        if not (isinstance(size, list) and len(size) == 3 and all(map(_positive, size))):
            raise InputError(f"{where}: input: expected [channels, height, width], got {size!r}")
        if not _positive(data["classes"]):
            raise InputError(f"{where}: classes: expected a positive int, got {data['classes']!r}")
        stages = data["stages"]
        if not isinstance(stages, list) or not stages:
            raise InputError(f"{where}: stages: expected a list of stages, got {stages!r}")
        return cls(
            input=(size[0], size[1], size[2]),
            stem=_stage(data["stem"], f"{where}: stem"),
            stages=tuple(_stage(s, f"{where}: stages.{i}") for i, s in enumerate(stages)),
            head=parse_head(data["head"], f"{where}: head"),
            classes=data["classes"],
        )

    def to_yaml(self) -> str:
        """Text of an architecture file, a stage a line."""
        return dump_yaml(self.to_dict())

    @classmethod
    def from_yaml(cls, path: str | Path) -> Architecture:
        """Read an architecture file; raises InputError."""
        return cls.from_dict(load_yaml(path), str(path))


def trace(arch: Architecture) -> Graph:
    """The graph of an architecture; node paths are stem.…, stages.2.0.…, head.…"""
    return record(arch.input, lambda x: _forward(arch, x))


def parts(arch: Architecture) -> Iterator[tuple[str, Block | Head, tuple[int, ...]]]:
    """Stem, blocks and head in order: path, part, and what follows the tensor in its call."""
    yield "stem", arch.stem.block, (arch.stem.width, arch.stem.stride)
    for i, stage in enumerate(arch.stages):
        for j in range(stage.depth):
            stride = stage.stride if j == 0 else 1
            yield f"stages.{i}.{j}", stage.block, (stage.width, stride)
    yield "head", arch.head, (arch.classes,)


def _forward(arch: Architecture, x: Tensor) -> Tensor:
    for place, part, settings in parts(arch):
        try:
            x = _part(x, part, *settings, name=place)
        except Exception as error:  # a user's block may raise anything
            raise ValueError(f"{place}: {type(error).__name__}: {error}") from error
    return x


@fragment
def _part(x: Tensor, part: Callable[..., Tensor], *settings: int) -> Tensor:
    return part(x, *settings)


def graph_id(graph: Graph) -> str:
    """Twelve hex digits of a graph's layers, shapes and edges; paths do not enter.

    Input and classes are the first and the last shape.
    """
    text = ";".join(f"{node.layer!r}{node.inputs}{node.shape}" for node in graph.nodes)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def last_map(graph: Graph) -> int:
    """The shorter side of the feature map that the head pools, in pixels."""
    body = [node for node in graph.nodes if not node.path.startswith("head.")]
    return min(body[-1].shape[1:])


# Reading and writing plain data ------------------------------------------------------------------


def parse_block(name: Any, settings: Mapping[str, Any], where: str) -> Block:
    """The block of a registered name with checked settings."""
    return _parse(BLOCKS, "block", name, settings, where)  # type: ignore[no-any-return]


def parse_head(data: Any, where: str) -> Head:
    """The head that a mapping describes: its name under `head`, the rest its settings."""
    data = mapping(data, where, required=("head",))
    settings = {key: value for key, value in data.items() if key != "head"}
    return _parse(HEADS, "head", data["head"], settings, where)  # type: ignore[no-any-return]


def _parse(
    registry: dict[str, type], kind: str, name: Any, settings: Mapping[str, Any], where: str
) -> Any:
    cls = find(registry, name, kind, f"{where}.{kind}")
    known = [field.name for field in fields(cls)]
    for key in settings:
        if key not in known:
            raise InputError(f"{where}.{key}: {name} has no such parameter; {hint(key, known)}")
    return validated(cls, settings, where)


def find(registry: Mapping[str, T], name: Any, kind: str, where: str) -> T:
    """What is registered; an unknown name raises InputError with the nearest ones."""
    if not isinstance(name, str) or name not in registry:
        raise InputError(f"{where}: unknown {kind} {name!r}; {hint(name, registry)}")
    return registry[name]


def hint(word: Any, known: Iterable[str]) -> str:
    """The second half of a message about an unknown word."""
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"


@cache
def _model(cls: type) -> Any:
    """A pydantic model with the fields of a dataclass, which checks each field strictly."""
    from pydantic import ConfigDict, create_model  # 0.1 s, so only where something is read

    hints = get_type_hints(cls, include_extras=True)
    columns: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is MISSING else field.default)
        for field in fields(cls)
    }
    return create_model(cls.__name__, __config__=ConfigDict(strict=True), **columns)


def validated(cls: type, settings: Mapping[str, Any], where: str) -> Any:
    """`cls(**settings)` with types checked by its annotations; raises InputError."""
    from pydantic import ValidationError

    try:
        model = _model(cls).model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (where, *first["loc"]))
        message = "expected an odd number" if first["type"] == "predicate_failed" else first["msg"]
        message = re.sub("^[Ii]nput should be", "expected", message)
        raise InputError(f"{place}: {message}, got {first['input']!r}") from None
    return cls(**{field.name: getattr(model, field.name) for field in fields(cls)})


def mapping(
    data: Any, where: str, known: Iterable[str] | None = None, required: Iterable[str] = ()
) -> dict[str, Any]:
    """`data` if it is a mapping with allowed and required keys; raises InputError."""
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected a mapping, got {data!r}")
    for key in data:
        if known is not None and key not in tuple(known):
            raise InputError(f"{where}: unknown key {key!r}; {hint(key, known)}")
    for key in required:
        if key not in data:
            raise InputError(f"{where}: {key} is missing")
    return data


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _stage(data: Any, where: str) -> Stage:
    data = mapping(data, where, required=("block", "width"))
    numbers = {
        "depth": data.get("depth", 1),
        "width": data["width"],
        "stride": data.get("stride", 1),
    }
    for key, value in numbers.items():
        if not _positive(value):
            raise InputError(f"{where}.{key}: expected a positive int, got {value!r}")
    settings = {key: value for key, value in data.items() if key not in STAGE_KEYS}
    return Stage(parse_block(data["block"], settings, where), **numbers)


def _settings(x: Any) -> dict[str, Any]:
    return {field.name: getattr(x, field.name) for field in fields(x)}


def _stage_dict(stage: Stage) -> dict[str, Any]:
    return {
        "block": name_of(stage.block),
        "depth": stage.depth,
        "width": stage.width,
        "stride": stage.stride,
        **_settings(stage.block),
    }


def load_yaml(path: str | Path) -> Any:
    """What a YAML file holds; raises InputError where it cannot be read."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}:{place} {getattr(error, 'problem', error)}") from None


class _Dumper(yaml.SafeDumper):
    """Block style down to lists, so that a stage stands on one line."""


def _represent(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.Node:
    plain = not any(isinstance(value, dict | list) for value in data.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=plain)


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    plain = not any(isinstance(value, dict | list) for value in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(dict, _represent)
_Dumper.add_representer(list, _represent_list)


def dump_yaml(data: Any) -> str:
    """YAML text in the order of the data, flat mappings on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=200, allow_unicode=True)
