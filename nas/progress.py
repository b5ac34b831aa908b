"""What a person sees while a search runs, on stderr."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from nas.budget import Budget
from nas.metrics import METRICS
from nas.pareto import leading
from nas.records import COMPLETE, STOPPED, Trial, own
from nas.run import hypervolume_of
from nas.scores import in_words
from nas.settings import Settings

SHOWN = 4  # trials under way that the live view names


@dataclass(frozen=True, slots=True)
class Facts:
    """What a search begins with; `small_maps`: the share of proxies whose last map is tiny.

    It ends at the `deadline`, on the clock of `time.monotonic`.
    """

    folder: str
    space: str
    settings: Settings
    budget: str
    reference: dict[str, float]
    small_maps: float
    deadline: float = math.inf


class Progress:
    """Silent; `Live` shows what it is told. `folder` is the run's, once there is one."""

    folder: str | None = None

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        """A search begins or goes on, with these trials finished."""
        self.folder = facts.folder

    def begin(self, trial: Trial, epochs: int) -> None:
        """A training of so many epochs begins or waits for a worker; the trial has no result."""

    def epoch(self, number: int, epoch: int, loss: float) -> None:
        """An epoch of a trial under way has ended."""

    def shared_epoch(self, done: int, epochs: int, loss: float) -> None:
        """So many epochs of a shared network's training are done."""

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """A trial has ended and is on the disk; `trials` are all so far, without architectures."""

    def aside(self, trial: Trial, text: str) -> None:
        """A training that is no trial of its own has ended and is on the disk; `text` says how."""

    def say(self, text: str) -> None:
        """Something that a person should know."""

    def stop(self) -> None:
        """The search has ended, for whatever reason."""


class Both(Progress):
    """Tells two what each would be told alone."""

    def __init__(self, one: Progress, other: Progress) -> None:
        self.one, self.other = one, other

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        self.one.start(facts, trials)
        self.other.start(facts, trials)

    def begin(self, trial: Trial, epochs: int) -> None:
        self.one.begin(trial, epochs)
        self.other.begin(trial, epochs)

    def epoch(self, number: int, epoch: int, loss: float) -> None:
        self.one.epoch(number, epoch, loss)
        self.other.epoch(number, epoch, loss)

    def shared_epoch(self, done: int, epochs: int, loss: float) -> None:
        self.one.shared_epoch(done, epochs, loss)
        self.other.shared_epoch(done, epochs, loss)

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self.one.trial(trial, trials)
        self.other.trial(trial, trials)

    def aside(self, trial: Trial, text: str) -> None:
        self.one.aside(trial, text)
        self.other.aside(trial, text)

    def say(self, text: str) -> None:
        self.one.say(text)
        self.other.say(text)

    def stop(self) -> None:
        self.one.stop()
        self.other.stop()


class Counted(NamedTuple):
    """A training under way: what it is called, the epochs that are done, and all."""

    what: str
    done: int
    total: int


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
        self.front: list[Trial] = []
        self.running: dict[int, Counted] = {}  # the trainings under way, by number
        self.ended = self.done = 0  # trials in this session, and in all but earlier runs

    def start(self, facts: Facts, trials: Sequence[Trial]) -> None:
        super().start(facts, trials)
        settings = facts.settings
        self.facts, self.objectives = facts, settings.objectives
        self.total = settings.trials
        self.budget = Budget.parse(settings.budget)
        self.begun, self.before = time.monotonic(), len(own(trials))
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
        self.done = len(own(trials))
        self.task = self.bar.add_task("trial", total=self.total, completed=self.done, note="")
        self._join(trials)
        self._note()

    def begin(self, trial: Trial, epochs: int) -> None:
        self.running[trial.number] = Counted(trial.name or f"trial {trial.number}", 0, epochs)
        self._describe()

    def epoch(self, number: int, epoch: int, loss: float) -> None:
        self.running[number] = self.running[number]._replace(done=epoch + 1)
        self._describe()

    def shared_epoch(self, done: int, epochs: int, loss: float) -> None:
        self._show(f"shared network: epoch {done} of {epochs}, loss {loss:.3g}")

    def trial(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self._end(trial)
        self.ended, self.done = self.ended + 1, self.done + 1
        self._join([trial.light()])
        on_front = any(best.number == trial.number for best in self.front)
        self.console.print(_line(trial, self.objectives, on_front))
        if self.task is not None:
            self.bar.update(self.task, completed=self.done)
        self._note()

    def aside(self, trial: Trial, text: str) -> None:
        self._end(trial)
        self.say(f"  {text}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def _end(self, trial: Trial) -> None:
        self.running.pop(trial.number, None)
        self._describe()

    def stop(self) -> None:
        self.bar.stop()

    def _describe(self) -> None:
        """The trainings under way, each with the epochs that it has done."""
        running = [f"{what} ({done}/{total})" for what, done, total in self.running.values()]
        more = f" + {len(running) - SHOWN}" if len(running) > SHOWN else ""
        self._show(f"{', '.join(running[:SHOWN])}{more}")

    def _show(self, text: str) -> None:
        if self.task is not None:
            self.bar.update(self.task, description=text)

    def _join(self, trials: Sequence[Trial]) -> None:
        """Let the front take up trials."""
        allowed = [t for t in trials if t.state == COMPLETE and t.within(self.budget)]
        self.front = leading([*self.front, *allowed], self.objectives)

    def _note(self) -> None:
        if self.task is None or not self.front:
            return
        volume = hypervolume_of(self.front, self.facts.reference, self.objectives)
        best = max(trial.value("accuracy") or 0.0 for trial in self.front)
        shown = METRICS["accuracy"].format(best)
        note = f"best {shown}, front {len(self.front)}, hypervolume {volume:.4g}, {self._left()}"
        self.bar.update(self.task, note=note)

    def _left(self) -> str:
        if not self.ended:
            return "resumed"
        now = time.monotonic()
        left = (self.total - self.done) * (now - self.begun) / self.ended
        left = min(left, max(0.0, self.facts.deadline - now))
        minutes, seconds = divmod(round(left), 60)
        return f"{minutes}:{seconds:02} left"


def _line(trial: Trial, objectives: Sequence[str], on_front: bool) -> str:
    again = f"  [yellow]attempt {trial.retries + 1}[/]" if trial.retries else ""
    return _what(trial, objectives, on_front) + again


def _what(trial: Trial, objectives: Sequence[str], on_front: bool) -> str:
    if trial.state == STOPPED and trial.result:
        epochs, accuracy = trial.result.rungs[-1]
        reached = f"accuracy {METRICS['accuracy'].format(accuracy)} after {epochs} epochs"
        return f"  trial {trial.number:3}  [dim]stopped[/]  {reached}  {trial.seconds:.1f} s"
    if trial.state != COMPLETE:
        return f"  trial {trial.number:3}  [red]{trial.state}[/]  {_plain(trial.error or '')}"
    cells = [_cell(trial, name) for name in objectives]
    if "macs" not in objectives:
        cells.append(f"{METRICS['macs'].format(trial.cost['macs'])} macs")
    mark = "[green]●[/]" if on_front else " "
    return f"{mark} trial {trial.number:3}  {'  '.join(cells)}  {trial.seconds:.1f} s"


def _cell(trial: Trial, objective: str) -> str:
    if objective == "accuracy" and trial.result:
        return in_words(trial.result.score, trial.result.accuracy)
    return f"{objective} {METRICS[objective].format(trial.value(objective) or 0.0)}"


def _plain(text: str) -> str:
    return text.replace("[", r"\[").replace("\n", " ")
