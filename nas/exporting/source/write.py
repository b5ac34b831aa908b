"""The file: what the network is, the helpers that it needs, its classes."""

from __future__ import annotations

from nas.arch import Architecture
from nas.cost import cost
from nas.exporting.source.calls import WIDTH, written
from nas.exporting.source.classes import Classes, Form, Piece
from nas.exporting.source.helpers import helpers
from nas.exporting.source.scopes import Leaf, scope_of, vectors
from nas.graph import Graph
from nas.layers import ELEMENTWISE, Linear


def to_python(graph: Graph, title: str, arch: Architecture | None = None) -> str:
    """The source of a file with a class Network, whose weights are named as the graph's.

    `title`: what the network is called; `arch`: of a stage table, whose blocks name the classes.
    Raises InputError for a user's torch module.
    """
    classes = Classes(scope_of(graph), _names(arch))
    vector = vectors(graph)[-1] or graph.output[1:] != (1, 1)
    body = "\n\n".join(_class(form, classes, vector) for form in classes.forms.values())
    parts = [*helpers(body), body]
    return _head(graph, title, "".join(parts)) + "\n\n".join(parts)


def _names(arch: Architecture | None) -> dict[str, str]:
    """The classes of an architecture's blocks and head, by their paths."""
    if arch is None:
        return {}
    names = {"stem": "Stem", "head": type(arch.head).__name__}
    for i, stage in enumerate(arch.stages):
        names |= {f"stages.{i}.{j}": type(stage.block).__name__ for j in range(stage.depth)}
    return names


def _head(graph: Graph, title: str, rest: str) -> str:
    found, (c, h, w) = cost(graph), graph.input
    safe = "".join(ch for ch in title if ch.isprintable() and ch not in '"\\')
    wanted = {"torch.": "import torch\n", "F.": "import torch.nn.functional as F\n"}
    imports = "".join(line for used, line in wanted.items() if used in rest)
    return f'''"""{safe}: {c} × {h} × {w} → {graph.output[0]}.

{found.params:,} parameters; {found.macs:,} multiply–accumulates an image of that size.
Layers are named as their weights are: model.load_state_dict(...) takes a file of them.
"""

from __future__ import annotations

from collections import OrderedDict

{imports}from torch import Tensor, nn

'''


def _class(form: Form, classes: Classes, vector: bool) -> str:
    base = "Fork" if form.kind == "fork" else "nn.Module"
    lines = [f"class {form.name}({base}):"]
    paths = [scope.path for scope in form.scopes if scope.path]
    rest = f" and {len(paths) - 3} more" if len(paths) > 4 else ""
    about = ", ".join(paths[: 3 if rest else 4]) + rest if paths else "The whole network"
    lines += [f'    """{about}."""', ""]
    pieces = classes.pieces(form.scopes[0])
    texts = iter(form.texts)
    filled = [(piece, [next(texts) for _ in piece.holes]) for piece in pieces]
    if form.kind == "fork":
        return "\n".join([*lines, *_signature(form), *_branches(filled)]) + "\n"
    forward = _forward(form, filled, next(texts), vector or bool(paths))
    kept = [p.name for p in form.params if any(f"self.{p.name}" in line for line in forward)]
    lines += [*_signature(form), "        super().__init__()", *_modules(filled)]
    lines += [f"        self.{name} = {name}" for name in kept]
    return "\n".join([*lines, "", *forward]) + "\n"


def _signature(form: Form) -> list[str]:
    params = [param.declared for param in form.params]
    line = f"    def __init__({', '.join(['self', *params])}) -> None:"
    if len(line) <= WIDTH:
        return [line]
    return ["    def __init__(", *(f"        {p}," for p in ["self", *params]), "    ) -> None:"]


Filled = list[tuple[Piece, list[str]]]


def _branches(filled: Filled) -> list[str]:
    calls = [written(piece.call, iter(texts), 16) for piece, texts in filled if piece.call]
    lines = [f"                {call}," for call in calls]
    return ["        super().__init__(", "            [", *lines, "            ]", "        )"]


def _modules(filled: Filled) -> list[str]:
    lines: list[str] = []
    made: set[str] = set()
    for piece, texts in filled:
        if piece.call is None:
            continue
        name = piece.item.name
        owners = name.split(".")[:-1]
        for n in range(len(owners)):  # scattered layers of one name share an empty module
            if (owner := ".".join(owners[: n + 1])) not in made:
                made.add(owner)
                lines.append(_assigned(owner, "nn.Module()"))
        taken = len(_assigned(name, "")) - 8
        lines.append(_assigned(name, written(piece.call, iter(texts), 8, taken)))
    return lines


def _assigned(name: str, text: str) -> str:
    owner, _, last = name.rpartition(".")
    if not owner and last.isidentifier():
        return f"        self.{last} = {text}"
    return f'        {_module(owner)}.add_module("{last}", {text})'


def _module(name: str) -> str:
    """A submodule as text; '' is the module itself."""
    if not name:
        return "self"
    plain = all(part.isidentifier() for part in name.split("."))
    return f"self.{name}" if plain else f'self.get_submodule("{name}")'


def _forward(form: Form, filled: Filled, residual: str, vector: bool) -> list[str]:
    inputs = form.scopes[0].inputs
    names = {-1 - i: "x" if i == 0 else f"x{i + 1}" for i in range(len(inputs))}
    declared = ", ".join(f"{name}: Tensor" for name in names.values())
    lines = [f"    def forward(self, {declared}) -> Tensor:"]
    last_use = {j: i for i, (piece, _) in enumerate(filled) for j in piece.item.inputs}
    if residual != "False":
        last_use[-1] = len(filled)
    for i, (piece, texts) in enumerate(filled):
        value = _value(piece, [names[j] for j in piece.item.inputs], texts, form)
        if i == len(filled) - 1 and residual == "False":
            return [*lines, f"        return {value if vector else f'{value}.flatten(1)'}"]
        names[i] = _variable(piece, i, names, last_use)
        lines.append(f"        {names[i]} = {value}")
    y = names[len(filled) - 1]
    choice = "" if residual == "True" else f" if self.residual else {y}"
    return [*lines, f"        return x + {y}{choice}"]


def _variable(piece: Piece, i: int, names: dict[int, str], last_use: dict[int, int]) -> str:
    """The name of an input that nobody needs any more, or a fresh one."""
    live = {names[j] for j in names if last_use.get(j, -1) > i}
    for j in piece.item.inputs:
        if names[j] not in live:
            return names[j]
    own = piece.item.name.replace(".", "_")
    named = [own] if own.isidentifier() else []
    return next(n for n in ("y", *named, *(f"y{k}" for k in range(2, 99))) if n not in live)


def _value(piece: Piece, inputs: list[str], texts: list[str], form: Form) -> str:
    """The value of an item, from the names of its inputs."""
    what = piece.item.what
    if isinstance(what, Leaf):
        inputs = [_as_taken(what, x, flat) for x, flat in zip(inputs, what.vectors, strict=True)]
    if piece.call:
        return f"{_module(piece.item.name)}({', '.join(inputs)})"
    own = {param.name for param in form.params}
    numbers = [f"self.{text}" if text in own else text for text in texts]
    return piece.text.format(*inputs, *numbers, all=", ".join(inputs))


def _as_taken(leaf: Leaf, x: str, vector: bool) -> str:
    """A linear layer takes (batch, c), element-wise ones either, all others a map."""
    if isinstance(leaf.layer, Linear):
        return x if vector else f"{x}.flatten(1)"
    return f"{x}[:, :, None, None]" if vector and not isinstance(leaf.layer, ELEMENTWISE) else x
