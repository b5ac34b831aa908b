"""A person's block that kills or hangs a worker, for the tests of executors.

It has a torch module, whose convolution is applied twice.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Spoken

import nas

# Of the files `kill` and `hang` beside the original, the first worker that builds the block takes
# one. Drivers trace it, and nothing happens.
MODULE = """
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from torch import nn

import nas

FAULTS = Path({folder!r})


class Mix(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.once = self.again = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.norm(self.again(self.once(x).relu()))


@nas.block
@dataclass(frozen=True)
class Faulty:
    kernel: int = 3

    def __call__(self, x, width, stride):
        if sys.argv[0].endswith("worker.py"):
            take_fault()
        return x.conv(width, self.kernel, stride).module(Mix)


def take_fault():
    for fault in ("kill", "hang"):
        try:
            (FAULTS / fault).unlink()
        except FileNotFoundError:
            continue
        print("about to", fault, "in", __file__, flush=True)
        os.kill(os.getpid(), signal.SIGKILL) if fault == "kill" else time.sleep(600)
"""
SPACE = """
stem: {block: conv, width: 8, stride: 2}
stages: [{block: faulty, width: {choice: [16, 24, 32, 40]}, kernel: {choice: [3, 5]}, stride: 2}]
head: {head: classifier}
"""


class Seen(Spoken):
    """Keeps the epochs that a person would be shown as well."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[tuple[int, int]] = []

    def epoch(self, number: int, epoch: int, loss: float) -> None:
        self.epochs.append((number, epoch))


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Settings of a search with the block, which is registered for the test alone."""
    (tmp_path / "faulty_block.py").write_text(MODULE.format(folder=str(tmp_path)))
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.syspath_prepend(tmp_path)
    nas.blocks.import_blocks(["faulty_block"])
    yield {"space": tmp_path / "space.yaml", "sampler": "random", "blocks": ["faulty_block"]}
    del nas.blocks.BLOCKS["faulty"], sys.modules["faulty_block"]
