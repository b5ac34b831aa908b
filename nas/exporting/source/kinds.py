"""Which scopes of a network are classes, and which of these are of one form."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from nas.exporting.source.calls import Call
from nas.exporting.source.layers import constructor, expression
from nas.exporting.source.scopes import Item, Leaf, Scope
from nas.layers import Concat, Linear

# A class, or an expression: layers in a row by number or by name
Kind: TypeAlias = Literal["class", "fork", "sequence", "chain"]


def kind_of(scope: Scope, numbered: bool) -> Kind:
    """`numbered`: it is a branch that has no name but its number."""
    if not scope.path:
        return "class"
    numbers = [str(i) for i in range(len(scope.items))]
    modules = scope.chained and all(map(_is_module, scope.items))
    if modules and [item.name for item in scope.items] == numbers:
        return "sequence"
    if modules and (numbered or len(scope.items) == 1):
        return "chain"
    return "fork" if _is_fork(scope) else "class"


def _is_fork(scope: Scope) -> bool:
    """Whether it is the concatenation of numbered branches of its only input."""
    *branches, last = scope.items
    joins = isinstance(last.what, Leaf) and last.what.layer == Concat("channels")
    numbered = [branch.name for branch in branches] == [str(i) for i in range(len(branches))]
    apart = all(branch.inputs == (-1,) and _is_module(branch) for branch in branches)
    return joins and numbered and apart and last.inputs == tuple(range(len(branches)))


def _is_module(item: Item) -> bool:
    """Whether it can stand in an nn.Sequential."""
    if isinstance(item.what, Scope):
        return len(item.what.inputs) == 1
    flat = not isinstance(item.what.layer, Linear) or item.what.vectors[0]
    return item.name.isidentifier() and flat and constructor(item.what.layer) is not None


def skeleton(what: Leaf | Scope) -> Any:
    """All of a scope's form but the numbers in its holes, and whether it is residual."""
    if isinstance(what, Leaf):
        if call := constructor(what.layer, what.vectors[0]):
            return what.vectors, _form(call)
        text, holes = expression(what.layer, what.channels)
        return what.vectors, text, tuple(hole.kind for hole in holes)
    items = tuple((item.name, skeleton(item.what), item.inputs) for item in what.body)
    return items, len(what.inputs)


def _form(call: Call) -> Any:
    values = (_form(a.value) if isinstance(a.value, Call) else a.value.kind for a in call.args)
    return call.function, tuple(zip((a.keyword for a in call.args), values, strict=True))
