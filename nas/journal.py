"""The trials of a run on the disk: those that ended, and those that passed a rung."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import count
from pathlib import Path

from nas.errors import InputError
from nas.evaluate import Rung
from nas.records import RUNGS, TRIALS, Trial, append_line, own, read_trials, write_atomic


class Journal:
    """The trials of a run; what is written is on the disk when a method returns.

    `trials` are the finished ones in the order in which they ended, `light` for there may be many;
    `count` is how many of them are this run's own. `each` is shown the whole of every one that is
    read. The folder must be `locked`, as a line that was cut is dropped. Raises InputError where
    another line is not what was written.
    """

    def __init__(self, folder: Path, each: Callable[[Trial], object] = lambda trial: None) -> None:
        self.folder = folder
        self.trials: list[Trial] = []
        for trial in read_trials(folder / TRIALS, repair=True):
            each(trial)
            self.trials.append(trial.light())
        self.count = len(own(self.trials))

    def append(self, trial: Trial) -> None:
        """A trial has ended."""
        append_line(self.folder / TRIALS, trial.to_json())
        self._state(trial).unlink(missing_ok=True)
        self.trials.append(trial.light())
        self.count += trial.source is None

    def keep(self, trial: Trial, state: bytes) -> None:
        """A trial has passed a rung; `state` is what it goes on from."""
        path = self._state(trial)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, state)
        append_line(self.folder / RUNGS, trial.to_json())

    def under_way(self) -> list[Trial]:
        """The trials that passed a rung and have not ended; states of all others are removed."""
        done = {trial.number for trial in self.trials}
        last = {t.number: t for t in read_trials(self.folder / RUNGS, repair=True)}
        found = [t for n, t in last.items() if n not in done and self._state(t).exists()]
        states = {self._state(trial) for trial in found}
        for path in (self.folder / "state").glob("*"):
            if path not in states:  # the driver died between a trial's record and this
                path.unlink()
        return found

    def rung(self, trial: Trial) -> Rung:
        """What a trial under way goes on from."""
        if trial.result is None:
            raise InputError(f"{self.folder / RUNGS}: trial {trial.number}: expected a result")
        return Rung(trial.result, self._state(trial).read_bytes())

    def numbers(self, taken: Set[int]) -> Iterator[int]:
        """Numbers for new trials, rising: neither `taken` nor a finished trial's.

        That of a trial that was lost with its driver is used again.
        """
        used = taken | {trial.number for trial in self.trials}
        return (number for number in count() if number not in used)

    def _state(self, trial: Trial) -> Path:
        return self.folder / "state" / f"{trial.number}.safetensors"
