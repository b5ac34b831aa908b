"""The published networks, exact to the last parameter; each file reads like its papers' tables.

A name is a rule and its parameters: ghostnet_x1_3 has widths times 1.3, shufflenet_v1_g3_x0_5
three groups and half the width, and mobilenet_v2_x0_6, which nobody published, follows the same
rule. `_cifar` is the form for images of 32x32.
"""

from nas.arch import hint
from nas.errors import InputError
from nas.graph import Graph
from nas.reference import (
    bn_inception,
    ghostnet,
    googlenet,
    inception_v3,
    inception_v4,
    mobilenet,
    mobilenet_v3,
    shufflenet,
    squeezenet,
    xception,
)
from nas.reference.base import Family, Published

FAMILIES: tuple[Family, ...] = (
    *squeezenet.FAMILIES,
    *mobilenet.FAMILIES,
    *mobilenet_v3.FAMILIES,
    *shufflenet.FAMILIES,
    *ghostnet.FAMILIES,
)
NETWORKS: dict[str, Published] = {
    network.name: network
    for network in (
        *(network for family in FAMILIES for network in family.published()),
        *mobilenet.NETWORKS,
        *googlenet.NETWORKS,
        *bn_inception.NETWORKS,
        *inception_v3.NETWORKS,
        *inception_v4.NETWORKS,
        *xception.NETWORKS,
    )
}

__all__ = ["FAMILIES", "NETWORKS", "Family", "Published", "load", "names", "published"]


def names() -> tuple[str, ...]:
    """The names of all published networks and their CIFAR forms."""
    return tuple(NETWORKS)


def published(name: str) -> Published:
    """The network of a name, published or another member of a family.

    Raises InputError with the nearest names where it is unknown, and with the reason where a
    family's rule does not allow it.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    for family in FAMILIES:
        if member := family.member(name):
            return member
    known = [known for known in NETWORKS if ("cifar" in known) == ("cifar" in name)]
    raise InputError(f"unknown network {name!r}; {hint(name, known)}")


def load(name: str, *, resolution: int | None = None, classes: int | None = None) -> Graph:
    """The graph of a network, for its own resolution and classes unless told others."""
    return published(name).graph(resolution, classes)
