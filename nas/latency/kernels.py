"""The kernel that an engine for CPUs runs for a layer, and how much work it is.

Such engines fuse batch norm and ReLU into the convolution before. Their fastest kernels want maps
in blocks of as many channels as a vector register holds, `lanes` (NCHWc in ONNX Runtime's MLAS,
nChw16c in oneDNN), pad channels up to whole blocks, and refuse channels that do not divide well.
Whatever has no such kernel runs on plain maps. So a depthwise convolution of 58 channels takes five
times as long as one of 60.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from nas.layers import (
    ELEMENTWISE,
    Activate,
    Add,
    ChannelPool,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Layer,
    Linear,
    Module,
    Pool,
    Scale,
    Shape,
    elements,
)

FUSED = (None, "relu", "relu6")  # what a convolution applies to its result for nothing
DIVISOR = 4  # channels of a dense or depthwise convolution must divide by it, or it runs plain
PAGE = 1024  # floats: maps a page apart in each channel meet in the same lines of a cache


class Work(NamedTuple):
    """What a kernel does: multiply–accumulates with those of padding, numbers read and written,
    rows of a blocked convolution by channel blocks, numbers of an unfolded map (im2col), parts."""

    calls: float = 1
    macs: float = 0
    weights: float = 0
    read: float = 0
    written: float = 0
    rows: float = 0
    unfolded: float = 0
    parts: float = 0


class Size(NamedTuple):
    """What the speed of a kernel may depend on: positions, channels by group, groups, window."""

    positions: int = 1
    inputs: int = 1
    outputs: int = 1
    groups: int = 1
    window: int = 1
    stride: int = 1


class Kernel(NamedTuple):
    """One call of a kernel of a kind, such as `depthwise` or `concat-channels.plain`."""

    kind: str
    work: Work
    size: Size


class Ran(NamedTuple):
    """A layer's kernels; whether they read blocked maps (None: either), and leave one."""

    kernels: tuple[Kernel, ...]
    reads: bool | None
    leaves: bool


RUN = Kernel("run", Work(), Size())  # what any network takes
CONVOLUTIONS = ("pointwise", "standard", "narrow", "vector", "depthwise", "grouped", "linear")


@lru_cache(maxsize=2**14)
def run(layer: Layer, inputs: tuple[Shape, ...], out: Shape, blocked: bool, lanes: int) -> Ran:
    """What is run for a layer whose inputs are `blocked`, or not all of them."""
    if isinstance(layer, Dropout):
        return Ran((), None, blocked)
    if isinstance(layer, Activate):
        return Ran((_activation(layer.act, out, blocked),), None, blocked)
    if isinstance(layer, Conv):
        found = _conv(layer, inputs[0], out, lanes)
    elif isinstance(layer, Linear):
        work, size = (
            Work(weights=layer.inputs * layer.outputs),
            Size(1, layer.inputs, layer.outputs),
        )
        found = Ran((Kernel("linear", work, size),), False, False)
    else:
        found = _other(layer, inputs, out, blocked, lanes)
    if (act := getattr(layer, "act", None)) in FUSED:
        return found
    return found._replace(kernels=(*found.kernels, _activation(act, out, found.leaves)))


@lru_cache(maxsize=2**12)
def reorder(shape: Shape, blocked: bool) -> Kernel:
    """A map brought into the other layout."""
    work = Work(read=elements(shape))
    return Kernel(_named("reorder", blocked), work, Size(shape[1] * shape[2], shape[0]))


def _activation(act: str, out: Shape, blocked: bool) -> Kernel:
    work = Work(written=elements(out))
    return Kernel(_named(act, blocked), work, Size(out[1] * out[2], out[0]))


def _named(name: str, blocked: bool) -> str:
    return name if blocked else f"{name}.plain"


# Convolutions ------------------------------------------------------------------------------------


def _conv(layer: Conv, x: Shape, out: Shape, lanes: int) -> Ran:
    """A convolution by the kernel that an engine has for its channels."""
    kind, blocked = _conv_kind(layer, out, lanes)
    work = (_blocked_work if blocked else _plain_work)(kind, layer, x, out, lanes)
    window = layer.kernel[0] * layer.kernel[1]
    size = Size(out[1] * out[2], *_by_group(layer), layer.groups, window, layer.stride)
    return Ran((Kernel(_named(kind, blocked), work, size),), blocked and kind != "narrow", blocked)


def _conv_kind(layer: Conv, out: Shape, lanes: int) -> tuple[str, bool]:
    """The kind, and whether there is a kernel for blocked maps of these channels."""
    even = layer.inputs % DIVISOR == 0
    if layer.groups > 1:
        if layer.groups == layer.inputs == layer.outputs:
            return "depthwise", even
        if any(channels % lanes for channels in _by_group(layer)):
            return ("grouped-pointwise" if layer.kernel == (1, 1) else "grouped"), False
        return ("pointwise" if layer.kernel == (1, 1) else "standard"), True
    if layer.kernel == (1, 1) and out[1] * out[2] <= 2:  # of squeeze–excitation and CBAM
        return "vector", even
    if layer.inputs < lanes:
        return "narrow", True
    return ("pointwise" if layer.kernel == (1, 1) else "standard"), even


def _by_group(layer: Conv) -> tuple[int, int]:
    """Input and output channels of one group."""
    return layer.inputs // layer.groups, layer.outputs // layer.groups


def _blocked_work(kind: str, layer: Conv, x: Shape, out: Shape, lanes: int) -> Work:
    """Channels are padded to whole blocks, but for those that a narrow convolution reads."""
    groups, (inputs, outputs) = layer.groups, _by_group(layer)
    if kind == "depthwise":
        groups, inputs, outputs, steps = 1, 1, layer.outputs, 1
    elif kind == "narrow":
        steps = inputs
    else:
        inputs = _padded(inputs, lanes)
        steps = inputs // lanes
    wide = groups * _padded(outputs, lanes)
    window, positions = layer.kernel[0] * layer.kernel[1], out[1] * out[2]
    rows = wide // lanes * steps * out[1] * layer.kernel[0] if window > 1 else 0
    macs = inputs * wide * window * positions
    return Work(1, macs, layer.weights, elements(x), wide * positions, rows)


def _plain_work(kind: str, layer: Conv, x: Shape, out: Shape, lanes: int) -> Work:
    """The map is unfolded, unless it is one already, and multiplied with the weights by group."""
    window = prod(layer.kernel)
    unfolded = layer.inputs * window * out[1] * out[2] if window > 1 else 0
    moved = layer.weights, elements(x), elements(out)
    return Work(1, layer.macs(out), *moved, unfolded=unfolded, parts=layer.groups)


def _padded(channels: int, lanes: int) -> int:
    return -(-channels // lanes) * lanes


# The other layers --------------------------------------------------------------------------------


def _other(layer: Layer, inputs: tuple[Shape, ...], out: Shape, blocked: bool, lanes: int) -> Ran:
    """A layer without weights, or one that this file has never heard of."""
    x, whole = inputs[0], all(shape[0] % lanes == 0 for shape in inputs)
    if isinstance(layer, Pool | GlobalPool | Concat):
        blocked = blocked and whole
    else:
        blocked = blocked and isinstance(layer, ELEMENTWISE | Add)
    window = layer.kernel**2 if isinstance(layer, Pool) else 1
    work = Work(
        macs=layer.macs(out) or elements(out) * window,
        weights=layer.params,
        read=sum(map(elements, inputs)),
        written=elements(out),
        parts=len(inputs),
    )
    size = Size(x[1] * x[2], max(x[0], out[0]), window=window)
    return Ran((Kernel(_named(_variant(layer, inputs), blocked), work, size),), blocked, blocked)


def _variant(layer: Layer, inputs: tuple[Shape, ...]) -> str:
    """The layer's name, with what makes it another kernel."""
    name = type(layer).__name__.lower()
    match layer:
        case Pool(kind="avg", count_padding=True) if layer.padding:
            return "pool-avg-padded"
        case Pool() | GlobalPool():
            return f"{name}-{layer.kind}"
        case ChannelPool():
            return f"{name}-{layer.kind}" + "-paged" * (prod(inputs[0][1:]) % PAGE == 0)
        case Scale():
            return f"{name}-{'channels' if inputs[1][1:] == (1, 1) else 'positions'}"
        case Concat():
            return f"{name}-{layer.axis}"
        case Module():
            return f"module {layer.factory.__qualname__}"
    return name
