"""Scopes of one form become one class; what differs between them becomes its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from string import ascii_uppercase
from typing import Any

from nas.exporting.source.calls import Arg, Call, Hole, literal
from nas.exporting.source.kinds import Kind, kind_of, skeleton
from nas.exporting.source.layers import constructor, expression
from nas.exporting.source.naming import class_name, param_name
from nas.exporting.source.scopes import Item, Leaf, Scope

DEFAULTS = {"stride": "1", "flag": "False", "groups": "1"}
TYPES = {"kernel": "int | tuple[int, int]", "padding": "int | tuple[int, int]", "act": "str | None"}
TYPES |= {"flag": "bool", "rate": "float", "factor": "float"}
FIRST = ("inputs", "outputs", "width")  # parameters that are given by position


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a class; `values` are those of the scopes in order."""

    name: str
    kind: str
    values: tuple[Any, ...]

    @property
    def default(self) -> str | None:
        return DEFAULTS.get(self.kind)

    def arg(self, number: int) -> Arg:
        """What the scope of that number is given."""
        keyword = None if self.name in FIRST else self.name
        return Arg(Hole(self.kind, self.name, self.values[number]), keyword, self.default)

    @property
    def declared(self) -> str:
        default = f" = {self.default}" if self.default else ""
        return f"{self.name}: {TYPES.get(self.kind, 'int')}{default}"


@dataclass(eq=False, slots=True)
class Form:
    """A class: its scopes, and once `Classes.settle` has seen them all, the text of each hole."""

    name: str
    kind: Kind
    scopes: list[Scope] = field(default_factory=list)
    params: tuple[Param, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """An item of a class: the constructor of its module or the text of its value."""

    item: Item
    call: Call | None
    text: str
    holes: tuple[Hole, ...]


class Classes:
    """The classes of a network; `names` are those of scopes by their paths, where known."""

    def __init__(self, root: Scope, names: Mapping[str, str]) -> None:
        self.kinds: dict[str, Kind] = {}
        self.forms: dict[Any, Form] = {}
        self._names, self._taken = names, {"Network", "Fork", "Tensor", "Clamp"}
        self._collect(root, numbered=False)
        for form in sorted(self.forms.values(), key=lambda form: self._height(form.scopes[0])):
            self._settle(form)  # after the classes of what is inside it

    # Which scopes are classes --------------------------------------------------------------------

    def _collect(self, scope: Scope, numbered: bool) -> None:
        kind = self.kinds[scope.path] = kind_of(scope, numbered)
        for item in scope.items:
            if isinstance(item.what, Scope):
                self._collect(item.what, kind != "sequence" and item.name.isdigit())
        if kind in ("class", "fork"):
            key = skeleton(scope)
            if key not in self.forms:
                self.forms[key] = Form(self._name(scope), kind)
            self.forms[key].scopes.append(scope)

    def _name(self, scope: Scope) -> str:
        if not scope.path:
            return "Network"
        base = class_name(scope, self._names.get(scope.path))
        ends = chain(["", *ascii_uppercase[1:]], map(str, count(27)))
        name: str = next(base + end for end in ends if base + end not in self._taken)
        self._taken.add(name)
        return name

    def _height(self, scope: Scope) -> int:
        inner = [self._height(i.what) for i in scope.items if isinstance(i.what, Scope)]
        return 1 + max(inner, default=0)

    # What their parameters are -------------------------------------------------------------------

    def _settle(self, form: Form) -> None:
        """Fill the holes: with a literal where all scopes agree, with a parameter elsewhere."""
        columns = list(zip(*(self._holes(scope) for scope in form.scopes), strict=True))
        params: dict[Any, Param] = {}
        texts = []
        for column in columns:
            (name, hole), values = column[0], tuple(hole.value for _, hole in column)
            if len(set(values)) == 1:
                texts.append(literal(values[0]))
                continue
            key = (hole.kind, values)
            if key not in params:
                taken = {param.name for param in params.values()}
                params[key] = Param(
                    param_name(name, hole, values, form.scopes, taken), hole.kind, values
                )
            texts.append(params[key].name)
        form.texts = tuple(texts)
        # Those with a default come last, as Python wants them.
        form.params = tuple(sorted(params.values(), key=_place))

    def _holes(self, scope: Scope) -> list[tuple[str, Hole]]:
        """All holes of a scope, each with its item's name; the last one: is it residual?"""
        found = [(p.item.name, hole) for p in self.pieces(scope) for hole in p.holes]
        return [*found, ("", Hole("flag", "residual", scope.residual))]

    def pieces(self, scope: Scope) -> list[Piece]:
        return [self._piece(item) for item in scope.body]

    def _piece(self, item: Item) -> Piece:
        if call := self.constructor(item):
            return Piece(item, call, "", tuple(call.holes()))
        assert isinstance(item.what, Leaf)
        text, holes = expression(item.what.layer, item.what.channels)
        return Piece(item, None, text, holes)

    def constructor(self, item: Item) -> Call | None:
        """How an item's module is made; None where it is an expression."""
        if isinstance(item.what, Leaf):
            return constructor(item.what.layer, item.what.vectors[0])
        scope, kind = item.what, self.kinds[item.what.path]
        if kind in ("class", "fork"):
            return self._instance(scope)
        parts = ((inner.name, self.constructor(inner)) for inner in scope.items)
        made = [(name, call) for name, call in parts if call]
        if kind == "sequence":
            return Call("nn.Sequential", tuple(Arg(call) for _, call in made))
        return Call("chain", tuple(Arg(call, name) for name, call in made))

    def _instance(self, scope: Scope) -> Call:
        form = self.forms[skeleton(scope)]
        number = next(i for i, other in enumerate(form.scopes) if other is scope)
        return Call(form.name, tuple(param.arg(number) for param in form.params))


def _place(param: Param) -> tuple[bool, int]:
    first = FIRST.index(param.name) if param.name in FIRST else len(FIRST)
    return param.default is not None, first
