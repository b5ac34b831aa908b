"""A full training's folder, read when asked.

train.json              settings, data, versions, machine: all that is needed to repeat it
architecture.yaml       the network, where it is a table of stages
checkpoint.safetensors  all that going on needs, after each epoch; gone when the training has ended
metrics.csv             a line an epoch
curves.png              the same as a picture, at the end
weights.safetensors     the weights, as `nas.build(...).state_dict()` names them, at the end
result.json             accuracies, of the test part too, and what they are of, at the end
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nas.arch import Architecture, trace
from nas.errors import InputError
from nas.networks import Network, find_network
from nas.recipe import FullRecipe
from nas.records import read_json

if TYPE_CHECKING:
    from torch import fx

FORMAT = 1  # of train.json
INFO, RESULT = "train.json", "result.json"
ARCHITECTURE = "architecture.yaml"
CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"
METRICS, CURVES = "metrics.csv", "curves.png"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a full training is asked for; `resolution` in pixels."""

    network: str
    resolution: int
    data: str
    data_dir: str | None = None
    recipe: FullRecipe = field(default_factory=FullRecipe)
    device: str = "cpu"
    seed: int = 0
    init: str | None = None
    blocks: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: dict[str, Any], where: str) -> Settings:
        """Read what `asdict` wrote."""
        recipe = FullRecipe.from_dict(data["recipe"], f"{where}: recipe")
        return cls(**{**data, "recipe": recipe, "blocks": tuple(data["blocks"])})


class Trained:
    """A full training, under way or ended; raises InputError where the folder is none."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / INFO).is_file():
            raise InputError(f"{self.path}: no {INFO}: expected the folder of a nas train")
        self.info = read_json(self.path / INFO)
        if self.info.get("format") != FORMAT:
            got = self.info.get("format")
            raise InputError(f"{self.path / INFO}: expected format {FORMAT}, got {got!r}")

    def __repr__(self) -> str:
        return f"Trained({str(self.path)!r})"

    @property
    def settings(self) -> Settings:
        return Settings.from_dict(self.info["settings"], str(self.path / INFO))

    @property
    def result(self) -> dict[str, Any] | None:
        """What came out; None where the training has not ended."""
        path = self.path / RESULT
        return read_json(path) if path.exists() else None

    @property
    def metrics(self) -> pd.DataFrame:
        """A row an epoch."""
        return pd.read_csv(self.path / METRICS)

    @property
    def weights(self) -> Path:
        """The file of the final weights."""
        return self.path / WEIGHTS

    @cached_property
    def network(self) -> Network:
        """The network as it was trained."""
        settings = self.settings
        if (path := self.path / ARCHITECTURE).exists():
            arch = Architecture.from_yaml(path)
            return Network(settings.network, trace(arch), arch)
        return find_network(settings.network, settings.resolution, len(self.info["classes"]))

    def module(self) -> fx.GraphModule:
        """The trained network in evaluation mode."""
        from nas.net import build
        from nas.training.weights import fit, read_weights

        module = build(self.network.graph, seed=0)
        fit(module, read_weights(self.weights), str(self.weights))
        module.eval()
        return module
