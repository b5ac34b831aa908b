"""What scores the trials of a search, from its first check to its first trial.

alone        a brief training of each
zero-cost    a score of each untrained network, among those of random networks: drawn first
shared       its part of one shared network: trained first, in the run's folder. Where nobody
             asked for it and it fails or has learned nothing, each is trained alone after all
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.data import Data
from nas.errors import InputError
from nas.evaluate import Task
from nas.gate import Gate, reason_of
from nas.progress import Progress
from nas.proxies.untrained import Untrained
from nas.records import SHARED
from nas.scores import SCORES, Score
from nas.settings import Settings
from nas.shared.checkpoint import Checkpoint, check_same

if TYPE_CHECKING:
    from nas.shared.prepare import Job


@dataclass(frozen=True, slots=True)
class Scorer:
    """`task` goes with each trial and says how it is scored, `way` is its key in `nas.scores`."""

    settings: Settings
    data: Data
    task: Task
    way: str

    @classmethod
    def of(cls, settings: Settings, data: Data) -> Scorer:
        """What the settings ask for, before anything is prepared."""
        task = Task(
            settings.data,
            settings.data_dir,
            data.id,
            settings.recipe,
            settings.resolution,
            settings.device,
        )
        return cls(settings, data, task, settings.way)

    @property
    def score(self) -> Score:
        return SCORES[self.way]

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of it, as `task`."""
        shared, untrained = self.task.shared, self.task.untrained
        return {
            "id": self.task.id,
            "data_id": self.data.id,
            "classes": self.data.classes,
            "proxy": self.way,
            "untrained": untrained and asdict(untrained),
            "shared": shared and shared.id,
        }

    def as_begun(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """As the run in a folder began with, by its `facts`; raises InputError where it cannot.

        A shared network is taken up by `ready`.
        """
        if facts["data_id"] != self.data.id:
            data = self.settings.data
            raise InputError(f"{folder}: the data {data!r} is not what the run began with")
        began = facts.get("proxy", "alone")  # earlier versions ranked all by accuracy
        if began != self.way:
            raise InputError(
                f"{folder}: its trials are ranked by {SCORES[began].label}, new ones would be by "
                f"{self.score.label}; expected a new search"
            )
        known = facts.get("untrained")
        return self._scoring(untrained=Untrained(**known)) if known else self

    def prepared(self, gate: Gate, progress: Progress) -> Scorer:
        """With what is fixed before a run has a folder: how random networks of the space score."""
        if self.way != "zero-cost":
            return self
        from nas.proxies.scoring import untrained  # only where it is asked for

        progress.say(
            "note: scores of untrained networks are no accuracies, and order networks no better "
            "than counting their activations; --confirm N trains N of the front"
        )
        return self._scoring(untrained=untrained(gate, self.task, self.settings.seed))

    def ready(self, gate: Gate, folder: Path, known: str | None, progress: Progress) -> Scorer:
        """With the shared network in a run's folder, trained now as far as it is not.

        `known` is the id of the one that the run's trials are parts of, None before there is one:
        until then, a network that nobody asked for may be given up.
        """
        if self.way != "shared":
            return self
        from nas.shared.prepare import job_of  # only where it is asked for

        shared, optional = folder.absolute() / SHARED, self.settings.auto and not known
        check_same(shared, known)
        progress.say(
            "first a network is trained that all candidates are parts of; "
            "--proxy alone trains each of them instead"
        )
        job = job_of(self.settings, gate, self.task, shared)
        found, trouble = self._trained(job, progress, optional)
        if trouble:
            progress.say(f"note: {trouble}")
        if trouble and optional:
            return self._alone(shared, progress)
        return self._scoring(shared=found)

    def _trained(
        self, job: Job, progress: Progress, optional: bool
    ) -> tuple[Checkpoint | None, str | None]:
        """A job's network, and what speaks against it; no error ends what is `optional`."""
        from nas.shared.prepare import prepare, unlearned

        try:
            found = prepare(job, progress.say, progress.shared_epoch)
            return found, unlearned(found, self.data.train)
        except Exception as error:
            if not optional:
                raise
            return None, str(error) if isinstance(error, InputError) else reason_of(error)

    def _alone(self, shared: Path, progress: Progress) -> Scorer:
        """Training each alone; no trial is a part of the network in the folder, so that it goes.

        Before run.json says so: a run that is killed in between begins with the network again.
        """
        progress.say("so each candidate is trained alone, and nothing of the network is kept")
        shutil.rmtree(shared, ignore_errors=True)
        return replace(self, way="alone")

    def _scoring(self, **by: Any) -> Scorer:
        return replace(self, task=replace(self.task, **by))
