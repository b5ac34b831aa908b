"""Slots: which channels of the largest network the channels of a candidate's tensor are.

A narrow network's channels are some of a wide one's, and not always the leading ones: after a
concatenation a branch begins where it begins in the largest network, a shuffle permutes, a slice
takes. So every tensor carries a slot for each of its channels, out of `size` that the tensor has
in the largest network.

    convolution, linear layer    its leading outputs
    depthwise                    output r of channel s has slot r · size + s, so that fewer
                                 filters a channel are the first ones of more
    concat along the channels    every input at its offset, the sum of the sizes before it
    slice, shuffle               slots are taken and permuted as the channels are
    all else                     the slots of the first input, a sum's too
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

from nas.layers import ChannelPool, Concat, Conv, Layer, Linear, Module, Shuffle, Slice


class Slots(NamedTuple):
    """A slot for each channel of a tensor, out of `size`."""

    of: tuple[int, ...]
    size: int


def is_depthwise(layer: Layer) -> bool:
    """Whether it is a convolution in which every channel has filters of its own."""
    return isinstance(layer, Conv) and 1 < layer.groups == layer.inputs


def outputs_of(layer: Layer) -> int:
    """The channels that a layer makes by its weights, 0 where its input's slots pass."""
    if isinstance(layer, Module):
        return layer.out[0]
    return layer.outputs if isinstance(layer, Conv | Linear) else 0


class Made(NamedTuple):
    """The most outputs that a layer with weights makes in a space; filters for each channel where
    it is depthwise throughout, `each`."""

    outputs: int
    each: bool = False


@singledispatch
def outgoing(layer: Layer, most: Made | None, *inputs: Slots) -> Slots:
    """The slots of a layer's output; `most` is what the layer makes at most in the space."""
    return inputs[0]


@outgoing.register(Conv | Linear | Module)
def _(layer: Conv | Linear | Module, most: Made, x: Slots) -> Slots:
    if isinstance(layer, Conv) and most.each:
        filters = layer.outputs // layer.inputs
        of = (r * x.size + s for s in x.of for r in range(filters))
        return Slots(tuple(of), most.outputs * x.size)
    return Slots(tuple(range(outputs_of(layer))), most.outputs)


@outgoing.register
def _(layer: Concat, most: Made | None, *inputs: Slots) -> Slots:
    if layer.axis == "height":
        return inputs[0]
    slots, offset = list[int](), 0
    for x in inputs:
        slots += [offset + s for s in x.of]
        offset += x.size
    return Slots(tuple(slots), offset)


@outgoing.register
def _(layer: Slice, most: Made | None, x: Slots) -> Slots:
    return Slots(x.of[layer.start : layer.stop], x.size)


@outgoing.register
def _(layer: Shuffle, most: Made | None, x: Slots) -> Slots:
    width = len(x.of) // layer.groups
    order = (j * width + i for i in range(width) for j in range(layer.groups))
    return Slots(tuple(x.of[n] for n in order), x.size)


@outgoing.register
def _(layer: ChannelPool, most: Made | None, x: Slots) -> Slots:
    return Slots((0,), 1)
