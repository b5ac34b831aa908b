"""What a file defines above its classes, each where something uses it."""

from __future__ import annotations

from collections.abc import Iterator

from nas.exporting.source.layers import FUNCTIONS, MODULES

CONV = '''def conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    act: str | None = None,
    padding: int | tuple[int, int] | None = None,
    bias: bool = False,
    norm: bool = True,
) -> nn.Sequential:
    """Convolution, batch norm, activation; padded to keep the size at stride 1 by default."""
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    if padding is None:
        padding = (kernel[0] // 2, kernel[1] // 2)
    layers = OrderedDict[str, nn.Module]()
    layers["conv"] = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    if norm:
        layers["norm"] = nn.BatchNorm2d(outputs)
    if act:
        layers["act"] = ACTIVATIONS[act]()
    return nn.Sequential(layers)
'''
LINEAR = '''def linear(
    inputs: int, outputs: int, *, act: str | None = None, bias: bool = True
) -> nn.Sequential:
    """Fully connected layer, activation."""
    layers = OrderedDict[str, nn.Module](linear=nn.Linear(inputs, outputs, bias))
    if act:
        layers["act"] = ACTIVATIONS[act]()
    return nn.Sequential(layers)
'''
CHAIN = '''def chain(**layers: nn.Module) -> nn.Sequential:
    """Layers by name, one after the other."""
    return nn.Sequential(OrderedDict(layers))
'''
SHUFFLE = '''def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels seen as (groups, c/groups) are transposed."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
'''
SHIFT = '''def shift(norm: nn.Module) -> nn.Module:
    """Batch norm that learns a shift only."""
    norm.register_parameter("weight", None)
    return norm
'''
CLAMP = '''class Clamp(nn.Hardtanh):
    """x limited to 0 … 1."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)
'''
FORK = '''class Fork(nn.ModuleList):
    """Branches of one input, concatenated."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)
'''
# what stands in a file that uses it → its text
HELPERS = {
    "conv(": CONV,
    "linear(": LINEAR,
    "chain(": CHAIN,
    "shuffle(": SHUFFLE,
    "shift(": SHIFT,
    "(Fork)": FORK,
}


def helpers(body: str) -> Iterator[str]:
    """The text of each helper that the classes in `body` use."""
    acts = [act for act in FUNCTIONS if f'="{act}"' in body]
    if "clamp" in acts:
        yield CLAMP
    if "conv(" in body or "linear(" in body:
        rows = "".join(f'    "{act}": {MODULES[act]},\n' for act in acts)
        yield f"ACTIVATIONS: dict[str, type[nn.Module]] = {{\n{rows}}}\n"
    for used, text in HELPERS.items():
        if used in body:
            yield text
