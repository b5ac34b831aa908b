"""What a shared network will take of this machine's memory, before any of it is taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nas.cost import cost
from nas.errors import InputError
from nas.feasible import random_candidates
from nas.shared.layout import Layout
from nas.shared.training import SharedRecipe
from nas.space import Space, proxy_side

FLOAT = 4  # bytes
COPIES = 3  # of a weight: itself, its gradient, its momentum
MAPS = 3  # of a convolution, for its gradient: its output, normalised and activated
SAMPLE = 50  # architectures that the largest activations are taken from
GB = 1e9


def check_memory(space: Space, layout: Layout, how: SharedRecipe) -> str:
    """What it takes, in a sentence; raises InputError where this machine has less."""
    weights, maps = FLOAT * COPIES * layout.params, _maps(space, how)
    need, have = weights + maps, available()
    said = f"the shared network of {space.name}: {layout.params / 1e6:.1f} M parameters, training "
    said += f"takes {need / GB:.1f} GB ({weights / GB:.1f} weights, {maps / GB:.1f} images)"
    if need > have:
        raise InputError(
            f"{said}, {have / GB:.1f} GB of memory are free: expected a smaller space or batch, "
            "or --proxy alone"
        )
    return said


def _maps(space: Space, how: SharedRecipe) -> int:
    """Bytes of what a step keeps of a batch for its gradients."""
    side = proxy_side(how.resolution, how.resolution, how.recipe.proxy_resolution)
    sample = random_candidates(space, SAMPLE, seed=0)
    graphs = (replace(candidate.arch, input=(3, side, side)) for candidate in sample)
    most = max((cost(arch).activations for arch in graphs), default=0)
    return FLOAT * MAPS * how.recipe.batch * most


def available() -> int:
    """Bytes of memory that a new process can have, as Linux estimates it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = dict(line.split(":") for line in lines)
    return 1024 * int(found["MemAvailable"].split()[0])
