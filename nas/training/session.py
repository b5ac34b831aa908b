"""A full training under way, and the files that it writes epoch by epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import torch
from torch import nn

from nas.cost import cost
from nas.data import Data, resized
from nas.errors import InputError
from nas.latency.lock import together
from nas.metrics import plural
from nas.net import build, threads
from nas.networks import Network
from nas.records import check_free, cost_dict, locked, write_atomic, write_json
from nas.scores import standard_error
from nas.settings import machine, versions
from nas.training.curves import save_curves
from nas.training.full import FullTraining
from nas.training.loop import Diverged
from nas.training.score import Scored, score
from nas.training.trained import (
    ARCHITECTURE,
    CHECKPOINT,
    CURVES,
    FORMAT,
    INFO,
    METRICS,
    RESULT,
    WEIGHTS,
    Settings,
    Trained,
)
from nas.training.weights import start_from, to_safetensors
from nas.verify import verify

Say: TypeAlias = Callable[[str], None]  # is told a line an epoch


class Session:
    """A full training under way in a folder that it alone writes to.

    `start` are weights to begin with; `settings.init` says where they are from.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        network: Network,
        data: Data,
        say: Say,
        start: dict[str, torch.Tensor] | None = None,
    ) -> None:
        _check(network, data, settings)
        self.folder, self.settings, self.network = folder, settings, network
        self.data, self.say = data, say
        self.metrics: list[dict[str, Any]] = []
        self.module: nn.Module = build(network.graph, settings.seed)
        verify(network.graph, self.module)
        if start:
            self._begin_with(start)
        side = settings.resolution
        self.validation = resized(data.validation, side)
        self.training = FullTraining(
            self.module,
            resized(data.train, side),
            data,
            settings.recipe,
            seed=settings.seed,
            device=settings.device,
        )

    def begin(self) -> Trained:
        """Train in a new folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            check_free(self.folder)  # another process may have begun at the same time
            if arch := self.network.architecture:
                write_atomic(self.folder / ARCHITECTURE, arch.to_yaml())
            self._save()
            write_json(self.folder / INFO, self._info())
            return self._run()

    def go_on(self) -> Trained:
        """Train from the last checkpoint on."""
        with locked(self.folder):
            facts = self.training.load((self.folder / CHECKPOINT).read_bytes())
            self.metrics = facts["metrics"]
            return self._run()

    def _begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        path = str(self.settings.init)
        if fresh := start_from(self.module, self.network.graph, weights, path):
            self.say(f"{path}: of other classes, so that {', '.join(fresh)} start afresh")

    def _info(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "settings": asdict(self.settings),
            "data_id": self.data.id,
            "classes": self.data.classes,
            "mean": self.data.mean,
            "std": self.data.std,
            "cost": cost_dict(cost(self.network.graph)),
            "command": sys.argv,
            "versions": versions(),
            "machine": machine(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def _run(self) -> Trained:
        epochs = self.settings.recipe.epochs
        about = f"{self.network.name} on {self.settings.data}, {plural(epochs, 'epoch')}"
        self.say(f"{self.folder}: {about}")
        with threads(self.settings.recipe.threads or 1):
            while len(self.training.curve) < epochs:
                self._epoch()
            self._finish()
        return Trained(self.folder)

    def _epoch(self) -> None:
        started, rate = time.perf_counter(), self.training.learning_rate
        with together():  # nobody measures a latency meanwhile
            self.training.advance(len(self.training.curve) + 1)
            own, average = (self._score(m) for m in (self.module, self.training.average))
        row = {"epoch": len(self.training.curve), "learning_rate": rate}
        row |= {"train_loss": self.training.curve[-1]}
        for name, found in (("validation", own), ("average", average)):
            row |= {f"{name}_accuracy": found.accuracy, f"{name}_loss": found.cross_entropy}
        self.metrics.append(row | {"seconds": time.perf_counter() - started})
        self._save()
        self.say(self._line())

    def _score(self, module: nn.Module) -> Scored:
        return score(module, self.validation, self.data, device=self.settings.device)

    def _save(self) -> None:
        write_atomic(self.folder / CHECKPOINT, self.training.save(metrics=self.metrics))
        if self.metrics:
            self._write_metrics()

    def _write_metrics(self) -> None:
        write_atomic(self.folder / METRICS, pd.DataFrame(self.metrics).to_csv(index=False))

    def _line(self) -> str:
        row, epochs = self.metrics[-1], self.settings.recipe.epochs
        seconds = sum(r["seconds"] for r in self.metrics) / len(self.metrics)
        left = round(seconds * (epochs - row["epoch"]))
        return (
            f"epoch {row['epoch']:3} of {epochs}  loss {row['train_loss']:.3f}  "
            f"validation {row['validation_accuracy']:.2%}, "
            f"averaged weights {row['average_accuracy']:.2%}  {left // 60}:{left % 60:02} left"
        )

    def _finish(self) -> None:
        """Keep the weights that are the better on validation, and look at the test part."""
        row = self.metrics[-1]
        own = (row["validation_accuracy"], -row["validation_loss"])
        averaged = (row["average_accuracy"], -row["average_loss"]) > own
        kind, module = ("average", self.training.average) if averaged else ("last", self.module)
        assert self.data.test is not None  # _check
        test = resized(self.data.test, self.settings.resolution)
        with together():
            accuracy, loss, _ = score(module, test, self.data, device=self.settings.device)
        if not math.isfinite(loss):
            raise Diverged(f"the test loss is {loss}")
        self._write_metrics()  # which a kill may have kept from the last epoch's line
        write_atomic(self.folder / WEIGHTS, to_safetensors(module.state_dict()))
        title = f"{self.network.name} on {self.settings.data}: test accuracy {accuracy:.2%}"
        save_curves(pd.DataFrame(self.metrics), title, self.folder / CURVES)
        write_json(self.folder / RESULT, self._result(row, kind, accuracy, loss, len(test)))
        (self.folder / CHECKPOINT).unlink()

    def _result(
        self, row: dict[str, Any], kind: str, accuracy: float, loss: float, size: int
    ) -> dict[str, Any]:
        own = "average" if kind == "average" else "validation"
        return {
            "network": self.network.name,
            "data": self.settings.data,
            "resolution": self.settings.resolution,
            "epochs": row["epoch"],
            "weights": kind,
            "test_accuracy": accuracy,
            "test_error": standard_error(accuracy, size),
            "test_loss": loss,
            "test_size": size,
            "validation_accuracy": row[f"{own}_accuracy"],
            "validation_loss": row[f"{own}_loss"],
            "validation_size": len(self.validation),
            "seconds": sum(r["seconds"] for r in self.metrics),
        }


def _check(network: Network, data: Data, settings: Settings) -> None:
    """Raise InputError where network, data and size do not go together."""
    graph, side = network.graph, settings.resolution
    if graph.input != (3, side, side):
        raise InputError(
            f"{network.name}: input: expected 3 channels and a square, got {list(graph.input)}"
        )
    if graph.output != (len(data.classes), 1, 1):
        raise InputError(
            f"{network.name}: classes: {settings.data} has {len(data.classes)}, "
            f"the network's output has the shape {graph.output}"
        )
    if data.test is None:
        raise InputError(f"{settings.data}: no test part, which is what a training ends with")
