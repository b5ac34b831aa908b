"""A network stage by stage: what its diagram shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from nas.arch import Architecture, parts
from nas.blocks import name_of, unusual
from nas.cost import part_cost
from nas.layers import Shape


@dataclass(frozen=True, slots=True)
class StageCount:
    """A stem, stage or head with the counts of its `depth` blocks for one image.

    `path` is stem, stages.2 or head, `stride` that of the first block, `shape` (channels, height,
    width) of the output; `settings` are those of the block that differ from its defaults.
    """

    path: str
    block: str
    depth: int
    stride: int
    shape: Shape
    macs: int
    params: int
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"shape": list(self.shape)}


def count_stages(arch: Architecture) -> list[StageCount]:
    """Stem, stages and head in order; their counts sum up to those of `nas.cost.cost`."""
    return list(_counted(arch))


def _counted(arch: Architecture) -> Iterator[StageCount]:
    shape = arch.input
    for path, group in groupby(parts(arch), lambda part: part[0].rpartition(".")[0] or part[0]):
        blocks = list(group)
        macs = params = 0
        for _, part, settings in blocks:
            shape, counted = part_cost(shape, part, settings)
            macs, params = macs + counted.macs, params + counted.params
        _, first, (_, *stride) = blocks[0]
        yield StageCount(
            path=path,
            block=name_of(first),
            depth=len(blocks),
            stride=stride[0] if stride else 1,
            shape=shape,
            macs=macs,
            params=params,
            settings=unusual(first),
        )
