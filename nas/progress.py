"""What a person sees while a search runs, on stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from nas.budget import Budget
from nas.metrics import METRICS
from nas.records import COMPLETE, STOPPED, Trial, own
from nas.run import frame, front, hypervolume_of
from nas.settings import Settings


@dataclass(frozen=True, slots=True)
class Facts:
    """What a search begins with; `small_maps`: the share of proxies whose last map is tiny."""

    folder: str
    space: str
    settings: Settings
    budget: str
    reference: dict[str, float]
    small_maps: float


class Progress:
    """Silent; `Live` shows what it is told. `folder` is the run's, once there is one."""

    folder: str | None = None

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        """A search begins or goes on, with these trials finished."""
        self.folder = facts.folder

    def begin(self, trial: Trial) -> None:
        """A trial begins; it has costs, and no result yet."""

    def epoch(self, epoch: int, loss: float) -> None:
        """An epoch of the trial under way has ended."""

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """A trial has ended and is on the disk; `trials` are all so far."""

    def say(self, text: str) -> None:
        """Something that a person should know."""

    def stop(self) -> None:
        """The search has ended, for whatever reason."""


class Live(Progress):
    """A line a trial, and below it a bar with the best so far, hypervolume and time left."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self.task: TaskID | None = None
        self.seconds: list[float] = []

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        super().start(facts, trials)
        settings = facts.settings
        self.facts, self.objectives = facts, settings.objectives
        self.total = settings.trials
        self.budget = Budget.parse(settings.budget)
        self.deadline = time.monotonic() + settings.time if settings.time else None
        within = f" within {facts.budget}" if facts.budget else ""
        self.say(
            f"{facts.folder}: {facts.space} on {settings.data}{within}, "
            f"{settings.trials} trials by {settings.sampler}, seed {settings.seed}"
            + (f", {len(trials)} done" if trials else "")
        )
        if facts.small_maps:
            self.say(
                f"note: {facts.small_maps:.0%} of the proxies end on a map under 2x2; a larger "
                "--proxy-resolution or stem_stride: 1 in a recipe keeps more, and takes longer"
            )
        self.bar.start()
        self.task = self.bar.add_task(
            "trial", total=self.total, completed=len(own(trials)), note=""
        )
        self._note(trials, front(frame(trials, self.budget), self.objectives))

    def begin(self, trial: Trial) -> None:
        self._describe(f"trial {trial.number}")

    def epoch(self, epoch: int, loss: float) -> None:
        self._describe(f"epoch {epoch + 1} of {self.facts.settings.recipe.epochs}")

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self.seconds.append(trial.seconds)
        found = front(frame(trials, self.budget), self.objectives)
        on_front = trial.number in set(found["number"])
        self.console.print(_line(trial, self.objectives, on_front))
        if self.task is not None:
            self.bar.update(self.task, completed=len(own(trials)))
        self._note(trials, found)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def stop(self) -> None:
        self.bar.stop()

    def _describe(self, text: str) -> None:
        if self.task is not None:
            self.bar.update(self.task, description=text)

    def _note(self, trials: Sequence[Trial], found: pd.DataFrame) -> None:
        if self.task is None or found.empty:
            return
        allowed = [trial for trial in trials if trial.within(self.budget)]
        volume = hypervolume_of(allowed, self.facts.reference, self.objectives)
        best = METRICS["accuracy"].format(float(found["accuracy"].max()))
        note = f"best {best}, front {len(found)}, hypervolume {volume:.4g}, {self._left(trials)}"
        self.bar.update(self.task, note=note)

    def _left(self, trials: Sequence[Trial]) -> str:
        if not self.seconds:
            return "resumed"
        left = (self.total - len(own(trials))) * sum(self.seconds) / len(self.seconds)
        if self.deadline is not None:
            left = min(left, max(0.0, self.deadline - time.monotonic()))
        minutes, seconds = divmod(round(left), 60)
        return f"{minutes}:{seconds:02} left"


def _line(trial: Trial, objectives: Sequence[str], on_front: bool) -> str:
    if trial.state == STOPPED and trial.result:
        epochs, accuracy = trial.result.rungs[-1]
        reached = f"accuracy {METRICS['accuracy'].format(accuracy)} after {epochs} epochs"
        return f"  trial {trial.number:3}  [dim]stopped[/]  {reached}  {trial.seconds:.1f} s"
    if trial.state != COMPLETE:
        return f"  trial {trial.number:3}  [red]{trial.state}[/]  {_plain(trial.error or '')}"
    cells = [f"{n} {METRICS[n].format(trial.value(n) or 0.0)}" for n in objectives]
    if "macs" not in objectives:
        cells.append(f"{METRICS['macs'].format(trial.cost['macs'])} macs")
    mark = "[green]●[/]" if on_front else " "
    return f"{mark} trial {trial.number:3}  {'  '.join(cells)}  {trial.seconds:.1f} s"


def _plain(text: str) -> str:
    return text.replace("[", r"\[").replace("\n", " ")
