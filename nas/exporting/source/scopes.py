"""A graph as a tree of scopes: what the parts of its paths name, each with one output.

Where the layers of a name lie scattered, or more than the last is read from outside, there is no
scope for it, and its layers keep the name as the beginning of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.graph import Graph, Node
from nas.layers import ELEMENTWISE, Add, Layer, Linear, Shape


@dataclass(frozen=True, slots=True)
class Leaf:
    """A layer; `channels` are its first input's, `vectors` says which inputs are (batch, c)."""

    layer: Layer
    channels: int
    vectors: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A layer or a scope by its name; `inputs` are items before it, -1, -2… the scope's inputs."""

    name: str
    what: Leaf | Scope
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is recorded under a path; the output is that of the last item."""

    path: str
    items: tuple[Item, ...]
    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def residual(self) -> bool:
        """Whether it ends in a sum of its only input and all the rest."""
        if len(self.items) < 2 or len(self.inputs) != 1:
            return False
        last = self.items[-1]
        adds = isinstance(last.what, Leaf) and isinstance(last.what.layer, Add)
        return adds and sorted(last.inputs) == [-1, len(self.items) - 2]

    @property
    def body(self) -> tuple[Item, ...]:
        """The items without such a sum."""
        return self.items[:-1] if self.residual else self.items

    @property
    def chained(self) -> bool:
        """Whether each item reads what the one before it gave, and nothing else."""
        return all(item.inputs == (i - 1,) for i, item in enumerate(self.items))


def scope_of(graph: Graph) -> Scope:
    """The whole network, of the empty path."""
    return _Tree(graph).scope("", 1, len(graph.nodes))


def vectors(graph: Graph) -> list[bool]:
    """Whether each node's value is (batch, c): after a linear layer, until a map is needed."""
    found: list[bool] = []
    for layer, inputs, _, _ in graph.nodes:
        kept = isinstance(layer, ELEMENTWISE) and found[inputs[0]]
        found.append(isinstance(layer, Linear) or kept)
    return found


class _Tree:
    def __init__(self, graph: Graph) -> None:
        self.nodes: tuple[Node, ...] = graph.nodes
        self.vectors = vectors(graph)
        self.last_reader = list(range(len(self.nodes)))
        for i, node in enumerate(self.nodes):
            for j in node.inputs:
                self.last_reader[j] = i

    def scope(self, path: str, start: int, stop: int) -> Scope:
        """The nodes from `start` up to `stop`, which have the path in common."""
        items: list[Item] = []
        index: dict[int, int] = {}  # node → the item that gives its value
        outside: list[int] = []
        prefix = f"{path}." if path else ""
        i = start
        while i < stop:
            name = self.nodes[i].path.removeprefix(prefix)
            end, what = i + 1, self._leaf(i)
            first, dot, _ = name.partition(".")
            if dot and (found := self._child(prefix + first, i, range(start, stop))):
                name, what, end = first, found.scope, found.end
            read = self._read(i, end)
            outside += [j for j in read if j not in index and j not in outside]
            inputs = tuple(index[j] if j in index else -1 - outside.index(j) for j in read)
            index[end - 1] = len(items)
            items.append(Item(name, what, inputs))
            i = end
        shapes = tuple(self.nodes[j].shape for j in outside)
        return Scope(path, tuple(items), shapes, self.nodes[stop - 1].shape)

    def _leaf(self, i: int) -> Leaf | Scope:
        layer, inputs, _, _ = self.nodes[i]
        return Leaf(layer, self.nodes[inputs[0]].shape[0], tuple(self.vectors[j] for j in inputs))

    def _read(self, start: int, stop: int) -> tuple[int, ...]:
        """What nodes read from before `start`, in order; a single one as often as it does."""
        if stop == start + 1:
            return self.nodes[start].inputs
        found = (j for i in range(start, stop) for j in self.nodes[i].inputs if j < start)
        return tuple(dict.fromkeys(found))

    def _child(self, path: str, start: int, nodes: range) -> _Child | None:
        """The scope of a path that begins at `start`, if all its layers do lie together."""
        inside = [i for i in nodes if self.nodes[i].path.startswith(f"{path}.")]
        end = inside[-1] + 1
        together = inside == list(range(start, end))
        if not together or any(self.last_reader[i] >= end for i in inside[:-1]):
            return None
        return _Child(self.scope(path, start, end), end)


@dataclass(frozen=True, slots=True)
class _Child:
    scope: Scope
    end: int  # the node after its last
