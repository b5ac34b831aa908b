"""Points of `mobile` near published networks: `python benchmarks/nearest.py` writes nearest.csv.

Near means |ln params ratio| + |ln MACs ratio|. A point has one family and one setting of it
throughout, the published network's attention, kernel 3, ReLU and ρ = 1. For each setting,
coordinate descents from 25 random points go over α, depths, widths and the head; the nearest of
all their ends is taken. The last table of docs/published.md is this CSV.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import yaml

from nas.cost import Cost, cost
from nas.reference import load
from nas.space import Candidate, Space
from nas.space_file import load_space, parse_space

STARTS = 25
MOBILE = load_space("mobile")
NETWORKS = {
    # name: (family, attention)
    "mobilenet_v1_x1_0": ("depthwise_separable", "none"),
    "mobilenet_v2_x1_0": ("inverted_residual", "none"),
    "mobilenet_v3_large": ("inverted_residual", "se"),
    "mobilenet_v3_small": ("inverted_residual", "se"),
    "shufflenet_v1_g3_x1_0": ("shuffle_v1", "none"),
    "shufflenet_v2_x1_0": ("shuffle_v2", "none"),
    "squeezenet1_0": ("fire", "none"),
    "squeezenet1_1": ("fire", "none"),
    "ghostnet_x1_0": ("ghost", "se"),
    "googlenet": ("inception", "none"),
}
SEARCHED = {
    # family: parameters of its own that are searched
    "inverted_residual": ("expansion",),
    "ghost": ("expansion",),
    "shuffle_v1": ("groups",),
    "fire": ("squeeze",),
}
OUT = Path(__file__).with_suffix(".csv")

Setting = Mapping[str, Any]


def settings(family: str) -> Iterator[Setting]:
    keys = SEARCHED.get(family, ())
    for values in product(*(MOBILE.parameters[f"stages.0.{key}"].values for key in keys)):
        yield dict(zip(keys, values, strict=True))


def uniform(family: str, setting: Setting) -> Space:
    """`mobile` with one block throughout."""
    defaults = {"block": family, "kernel": 3, "activation": "relu", **setting}
    data = {**yaml.safe_load(MOBILE.text), "resolution_multiplier": 1, "defaults": defaults}
    return parse_space(data, family, name=family)


def nearest(name: str) -> dict[str, Any]:
    """The row of a network."""
    target, (family, attention) = cost(load(name)), NETWORKS[name]

    def distance(candidate: Candidate) -> float:
        return apart(candidate.cost, target)

    rng, found = random.Random(0), []
    for setting in settings(family):
        setting = setting if attention == "none" else {**setting, "attention": attention}
        space = uniform(family, setting)
        descents = (space.descend(space.sample(rng), distance) for _ in range(STARTS))
        _, params = min(descents, key=lambda pair: pair[0])
        found.append((setting, space.candidate(params)))
    setting, best = min(found, key=lambda pair: distance(pair[1]))
    near = {"nearest": text(family, setting, best.params)}
    near |= {"nearest_params": best.cost.params, "nearest_macs": best.cost.macs}
    return {"network": name, "params": target.params, "macs": target.macs, **near}


def apart(a: Cost, b: Cost) -> float:
    return abs(log(a.params / b.params)) + abs(log(a.macs / b.macs))


def text(family: str, setting: Setting, params: Mapping[str, Any]) -> str:
    """As the page shows it; stages are width×depth before α."""
    stages = (f"{params[f'stages.{i}.width']}×{params[f'stages.{i}.depth']}" for i in range(6))
    own = (f"{key} {value}" for key, value in setting.items())
    parts = [family, f"α {params['width_multiplier']}", f"stem {params['stem.width']}"]
    return ", ".join([*parts, " ".join(stages), f"head {params['head.width']}", *own])


def main() -> None:
    rows = [nearest(name) for name in NETWORKS]
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(OUT.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
