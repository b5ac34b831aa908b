"""Searches that take seconds: the space `tiny` on digits, one epoch of a hundred small images."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.arch import Architecture, Stage
from nas.blocks import Classifier, ConvBlock, DepthwiseSeparable
from nas.cli import main
from nas.progress import Progress
from nas.recipe import FullRecipe, Recipe
from nas.training.trained import Trained

os.environ["OMP_NUM_THREADS"] = "1"  # of the subprocesses
torch.set_num_threads(1)

RECIPE = Recipe(epochs=1, batch=20, subset=100, proxy_resolution=16)
QUICK = {
    "space": "tiny",
    "objectives": ("accuracy", "macs"),
    "trials": 4,
    "recipe": RECIPE,
    "confirm": 0,  # a few would be trained again where there is time
}
RECIPE_YAML = "{epochs: 1, batch: 20, subset: 100, proxy_resolution: 16}\n"

# What is trained fully, in a second: 16 pixels, 650 parameters
SMALL = Architecture(
    input=(3, 16, 16),
    stem=Stage(ConvBlock(), depth=1, width=8, stride=2),
    stages=(Stage(DepthwiseSeparable(), depth=1, width=16, stride=2),),
    head=Classifier(dropout=0.1),
    classes=10,
)
FULL = FullRecipe(epochs=3, batch=128)

Search = Callable[..., nas.Run]


@pytest.fixture(scope="session")
def quick() -> Search:
    """nas.search with the settings of a search of about a second."""
    return lambda out, **settings: nas.search(**{**QUICK, **settings}, out=out)


@pytest.fixture(scope="session")
def finished(quick: Search, tmp_path_factory: pytest.TempPathFactory) -> nas.Run:
    """A run of eight trials, to be read only."""
    return quick(tmp_path_factory.mktemp("finished") / "run", trials=8)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A full training of `SMALL` on digits, to be read only."""
    out = tmp_path_factory.mktemp("trained") / "run"
    return nas.train(SMALL, data="digits", recipe=FULL, out=out)


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run a command line in this process, in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])  # main() puts the working folder first

    def call(*words: object) -> Outcome:
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def quick_flags(tmp_path: Path) -> list[str]:
    """The same settings for the command line."""
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(RECIPE_YAML)
    return ["--space", "tiny", "--objectives", "accuracy,macs", "--recipe", str(recipe)]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command line as a process of its own; killed where a test leaves it running.

    It leads a group of its own, as what a shell starts on a terminal.
    """
    with ExitStack() as processes:

        def start(*words: object, cwd: Path = tmp_path) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "nas.cli", *map(str, words)],
                cwd=cwd,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield start


class Spoken(Progress):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def wait_for(happened: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait until something holds that a running process brings about."""
    while not happened():
        if process.poll() is not None:
            pytest.fail(f"the process ended: {process.communicate()}")
        time.sleep(0.01)


def workers_of(run: Path) -> list[int]:
    """The processes that train for the run in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            words = path.read_text().split("\0")
            if "nas.executors.worker" in words and str(run / "logs") in words:
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def own_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Locks of measurements of the test's own, here and in its subprocesses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file grows beyond so many bytes, as on a disk that is full."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
