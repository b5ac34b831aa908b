"""What a published network is, and what a family of them is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.graph import Graph, Tensor, record
from nas.reference.cifar import cifar_form

Network: TypeAlias = Callable[[Tensor, int], Tensor]  # (image, classes) → scores


@dataclass(frozen=True, slots=True)
class Published:
    """A network of the field, as its authors released it.

    `network` is an `Architecture` where the paper's table is one of stages, otherwise a function
    (image, classes) → scores. `paper` is the arXiv id, `resolution` the side of the images in
    pixels, `top1` the paper's accuracy there in percent of ImageNet's validation set.
    """

    name: str
    paper: str
    network: Architecture | Network
    resolution: int = 224
    top1: float | None = None
    classes: int = 1000

    def graph(self, resolution: int | None = None, classes: int | None = None) -> Graph:
        """The graph for images of that side; raises InputError where its strides do not fit."""
        side = self._positive("resolution", resolution, self.resolution)
        count = self._positive("classes", classes, self.classes)
        try:
            return self._trace(side, count)
        except ValueError as error:
            message = remedy(self._works, side, self.resolution)
            raise InputError(f"{self.name}: resolution: {message}") from error

    def architecture(
        self, resolution: int | None = None, classes: int | None = None
    ) -> Architecture | None:
        """The architecture for images of that side; None where the network is no stage table."""
        if not isinstance(self.network, Architecture):
            return None
        graph = self.graph(resolution, classes)  # raises InputError
        count = self.classes if classes is None else classes
        return replace(self.network, input=graph.input, classes=count)

    def _positive(self, what: str, value: int | None, default: int) -> int:
        if value is None:
            return default
        if value < 1:
            raise InputError(f"{self.name}: {what}: expected a positive int, got {value!r}")
        return value

    def _trace(self, side: int, classes: int) -> Graph:
        network, size = self.network, (3, side, side)
        if isinstance(network, Architecture):
            return trace(replace(network, input=size, classes=classes))
        return record(size, lambda x: network(x, classes))

    def _works(self, side: int) -> bool:
        try:
            self._trace(side, self.classes)
        except ValueError:
            return False
        return True


def remedy(works: Callable[[int], bool], side: int, usual: int) -> str:
    """What is wrong with images of that side, and what would be right, found by search.

    `usual` is a side in pixels that works.
    """
    smallest = next(n for n in range(1, usual + 1) if works(n))
    if side < smallest:
        return f"{side} is too small for its strides, the smallest that works is {smallest}"
    larger = next((n for n in range(side, side + usual) if works(n)), usual)
    return f"{side} leaves branches of unequal sizes, another that works is {larger}"


# How a name spells a parameter, and how it is read: shufflenet_v1_g3_x0_5.
SPELLING: Mapping[str, tuple[str, Callable[[str], float]]] = {
    "groups": (r"_g(?P<groups>\d+)", int),
    "width": (r"_x(?P<width>\d+_\d+)", lambda digits: float(digits.replace("_", "."))),
}


@dataclass(frozen=True, slots=True)
class Family:
    """Networks of one rule; a name spells the rule's parameters, so that every member has one.

    `top1` maps the published members to their accuracies. `cifar` is how many of the first
    halvings of the map the CIFAR form leaves out.
    """

    name: str
    paper: str
    make: Callable[..., Architecture]
    top1: Mapping[str, float | None]
    cifar: int
    parameters: tuple[str, ...] = ()
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spelling = "".join(SPELLING[parameter][0] for parameter in self.parameters)
        pattern = re.compile(rf"{self.name}{spelling}(?P<cifar>_cifar)?")
        object.__setattr__(self, "pattern", pattern)

    def published(self) -> Iterator[Published]:
        """The published members, then their CIFAR forms."""
        for form in ("", "_cifar"):
            for name in self.top1:
                if member := self.member(name + form):
                    yield member

    def member(self, name: str) -> Published | None:
        """The network of that name, None where it is none of this family's.

        Raises InputError where the rule does not allow it.
        """
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        settings = {key: SPELLING[key][1](match[key]) for key in self.parameters}
        if not all(settings.values()):
            raise InputError(f"{name}: expected positive numbers, got {settings}")
        try:
            network = self.make(**settings)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from None
        if match["cifar"]:
            form = cifar_form(network, halvings=self.cifar)
            return Published(name, self.paper, form, resolution=32, classes=10)
        return Published(name, self.paper, network, top1=self.top1.get(name))
