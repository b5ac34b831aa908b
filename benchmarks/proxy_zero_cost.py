"""How scores of untrained networks rank: proxy_zero_cost.csv; the harness is proxy.py.

The scores of `nas.proxies` at initialisation, on 64 images of CIFAR-10 at 16 pixels.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from proxy import baselines, networks, row, write

from nas.arch import Architecture
from nas.evaluate import cached_data
from nas.proxies import PROXIES, Batch, first_images, zero_cost

COUNT, SIDE, IMAGES = 100, 16, 64


@cache
def batch() -> Batch:
    path = str(Path(os.environ["NAS_TEST_DATA"]) / "cifar10_10k2k.npz")
    return first_images(cached_data(path, None), SIDE, IMAGES)


def main() -> None:
    torch.set_num_threads(1)
    batch()  # not on the first network's account
    judged = networks("judge", COUNT)
    rows = list(baselines(judged))
    for name in PROXIES:

        def score(arch: Architecture, name: str = name) -> float:
            return zero_cost(arch, batch(), names=[name])[name]

        rows.append(row("untrained", score, judged, name))
    write("zero_cost", rows)


if __name__ == "__main__":
    main()
