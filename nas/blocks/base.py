"""What a block is, the registry that YAML names refer to, and the rounding of widths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from importlib import import_module
from math import gcd
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar, overload, runtime_checkable

from annotated_types import Ge, Gt, Lt, Predicate

from nas.errors import InputError
from nas.graph import Tensor

# What a block's fields may hold; reading YAML checks them.
Count: TypeAlias = Annotated[int, Ge(1)]
Whole: TypeAlias = Annotated[int, Ge(0)]
Odd: TypeAlias = Annotated[int, Ge(1), Predicate(lambda n: n % 2 == 1)]
Positive: TypeAlias = Annotated[float, Gt(0)]
Share: TypeAlias = Annotated[float, Gt(0), Lt(1)]
Rate: TypeAlias = Annotated[float, Ge(0), Lt(1)]


@runtime_checkable
class Block(Protocol):
    """Hyper-parameters, and a function of tensors.

    `width` is the number of output channels; `stride` belongs to the first block of a stage, the
    others get 1. A block is a frozen dataclass, registered by `@block`.
    """

    def __call__(self, x: Tensor, width: int, stride: int) -> Tensor: ...

    def __hash__(self) -> int: ...


@runtime_checkable
class Head(Protocol):
    """What turns the last feature map into class scores; registered by `@head`."""

    def __call__(self, x: Tensor, classes: int) -> Tensor: ...

    def __hash__(self) -> int: ...


BLOCKS: dict[str, type] = {}
HEADS: dict[str, type] = {}
_T = TypeVar("_T", bound=type)


def _register(registry: dict[str, type], cls: type, name: str | None) -> None:
    frozen = is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen or "__call__" not in dir(cls):
        raise TypeError(
            f"{cls.__qualname__} must be a frozen dataclass with __call__: put the decorator "
            f"above @dataclass(frozen=True)"
        )
    name = name or snake_case(cls.__name__)
    known = registry.get(name)
    same = known is not None and (known.__module__, known.__qualname__) == (
        cls.__module__,
        cls.__qualname__,
    )
    if known is not None and not same:
        raise ValueError(f"a block {name!r} is already registered: {known.__module__}")
    registry[name] = cls


@overload
def block(cls: _T, /) -> _T: ...
@overload
def block(*, name: str) -> Callable[[_T], _T]: ...
def block(cls: Any = None, /, *, name: str | None = None) -> Any:
    """Register a block under its class name in snake case, or under `name`.

    A user's own block is written the same way:

        @nas.block
        @dataclass(frozen=True)
        class Plain:
            kernel: int = 3

            def __call__(self, x, width, stride):
                return x.conv(width, self.kernel, stride)

    From then on `block: plain` may be written in a space.
    """
    return _decorator(BLOCKS, cls, name)


@overload
def head(cls: _T, /) -> _T: ...
@overload
def head(*, name: str) -> Callable[[_T], _T]: ...
def head(cls: Any = None, /, *, name: str | None = None) -> Any:
    """Register a head, as `block` does a block."""
    return _decorator(HEADS, cls, name)


def _decorator(registry: dict[str, type], cls: Any, name: str | None) -> Any:
    def register(cls: _T) -> _T:
        _register(registry, cls, name)
        return cls

    return register if cls is None else register(cls)


def snake_case(name: str) -> str:
    """ShuffleV2 → shuffle_v2."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def import_blocks(modules: Iterable[str]) -> None:
    """Import modules that register blocks of a person's own; raises InputError."""
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # a person's module may raise anything
            raise InputError(
                f"--blocks {name}: cannot be imported: {type(error).__name__}: {error}"
            ) from error


def name_of(x: Block | Head) -> str:
    """The registered name of a block or a head."""
    registry = {cls: name for name, cls in (*BLOCKS.items(), *HEADS.items())}
    return registry[type(x)]


def unusual(x: Block | Head) -> dict[str, Any]:
    """The fields of a block or a head that differ from their defaults."""
    values = ((f, getattr(x, f.name)) for f in fields(x))  # type: ignore[arg-type]
    return {f.name: value for f, value in values if value != f.default}


def round_width(width: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one, and never below 90 % of `width`.

    `_make_divisible` of the MobileNet authors' code (tensorflow/models, research/slim/nets).
    """
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


def legal_groups(groups: int, inputs: int, outputs: int) -> int:
    """The groups that a layer takes where `groups` does not divide its channels: the gcd."""
    return gcd(groups, inputs, outputs)


def split_width(width: int, shares: tuple[float, ...]) -> tuple[int, ...]:
    """`width` in parts near `shares`, in steps of 8 where that leaves each part a step or two.

    Every part is at least one step; the rest goes to the largest remainders.
    """
    step = 8
    while step > 1 and (width % step or width < 2 * step * len(shares)):
        step //= 2
    steps = width // step
    if steps < len(shares):
        raise ValueError(f"a width of {width} is too small for {len(shares)} branches")
    total = sum(shares)
    wanted = [steps * share / total for share in shares]
    parts = [max(1, int(w)) for w in wanted]
    while sum(parts) < steps:
        parts[max(range(len(parts)), key=lambda i: wanted[i] - parts[i])] += 1
    while sum(parts) > steps:
        parts[
            max((i for i in range(len(parts)) if parts[i] > 1), key=lambda i: parts[i] - wanted[i])
        ] -= 1
    return tuple(step * part for part in parts)
