"""The end of a search: its front is measured, its candidates confirmed, baselines stand beside it.

Every line is on the disk before the next begins, so a resume goes on with what is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nas.arch import trace
from nas.baselines import baseline
from nas.budget import Budget
from nas.confirm import candidates, confirm
from nas.evaluate import Task
from nas.graph import Graph
from nas.latency import Latency
from nas.loop import seed_of
from nas.records import BASELINES, CONFIRMED, FINAL, append_line, read_lines, read_trials
from nas.run import Run
from nas.settings import Settings


@dataclass(frozen=True, slots=True)
class Finale:
    """What is done when all trials have ended.

    `measure` times a network while nothing trains, `known` is the best that can be known of its
    latency here; None where a search measures nothing, or knows none.
    """

    folder: Path
    settings: Settings
    budget: Budget
    task: Task
    classes: int
    say: Callable[[str], None]
    measure: Callable[[Graph], Latency] | None
    known: Callable[[Graph], Latency] | None

    def run(self) -> None:
        self._time_front()
        self._confirm()
        self._baselines()

    def _time_front(self) -> None:
        """Measure the front at last, of which a lucky timing or a wrong estimate may be part.

        Those that exceed the latency budget leave it; others may take their place, and are
        measured too. What a table of another device estimates is not measured here.
        """
        path, found = self.folder / FINAL, Run(self.folder)
        read_lines(path, repair=True)
        while self.measure and (
            left := [int(n) for n in found.front["number"] if n not in found.finals]
        ):
            for number in left:
                self.say(f"trial {number} is on the front: measured")
                latency = self.measure(trace(found.architecture(number)))
                line = {"number": number, "latency": latency.to_dict()}
                append_line(path, json.dumps(line))
            found = Run(self.folder)

    def _confirm(self) -> None:
        """Train the front's candidates again, for longer."""
        if not self.settings.confirm:
            return
        path, run = self.folder / CONFIRMED, Run(self.folder)
        done = {trial.number for trial in read_trials(path, repair=True)}
        # The loop keeps no architectures, and may know estimates where the front was measured.
        trials = [replace(t, latency=run.finals.get(t.number, t.latency)) for t in run.records]
        found = candidates(trials, self.settings.objectives, self.budget, self.settings.confirm)
        for trial in found:
            if trial.number not in done:
                self.say(f"trial {trial.number} is trained again, for longer")
                append_line(path, confirm(trial, self.task).to_json())

    def _baselines(self) -> None:
        """Evaluate published networks by the same recipe; they are no trials."""
        path = self.folder / BASELINES
        done = {trial.name for trial in read_trials(path, repair=True)}
        for name in self.settings.baselines:
            if name not in done:
                self.say(f"baseline {name}")
                found = baseline(name, self.task, self.classes, self._seed, self.known)
                append_line(path, found.to_json())

    def _seed(self, identity: str) -> int:
        return seed_of(self.settings.seed, identity)
