"""The search from its first check to its front. One driver owns the study and the files."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from nas import notices
from nas.blocks import import_blocks
from nas.budget import Budget
from nas.confirm import trials_end
from nas.errors import InputError
from nas.evaluate import cached_data
from nas.executors import Executor
from nas.executors.execution import Execution, Place, opened
from nas.feasible import check_budget, check_latency, hypervolume_reference, random_candidates
from nas.finale import Finale
from nas.gate import Gate
from nas.journal import Journal
from nas.latencies import Latencies
from nas.latency import DeviceTable
from nas.loop import Loop
from nas.metrics import ALIASES
from nas.mirror import Mirror
from nas.prior import check_prior, prior_trials
from nas.progress import Both, Facts, Progress
from nas.recipe import Recipe
from nas.records import (
    LOGS,
    TABLE,
    TRIALS,
    Trial,
    check_free,
    locked,
    read_json,
    read_trials,
    stamp,
    write_atomic,
    write_json,
)
from nas.rejections import Rejections
from nas.run import Run
from nas.scorer import Scorer
from nas.settings import Settings, machine, versions
from nas.space import RESOLUTION, Space
from nas.space_file import load_space, parse_space
from nas.storage import public, resolve

FORMAT = 1  # of run.json and trials.jsonl
SAMPLE = 50  # random points of the space, by which a person is told of it


def search(
    *,
    space: str | Path | Space = "mobile",
    data: str = "digits",
    data_dir: str | Path | None = None,
    budget: str | Iterable[str] = (),
    objectives: Sequence[str] = ("accuracy", "latency"),
    trials: int = 40,
    time: float | None = None,
    confirm: int | None = None,
    sampler: str = "cost-aware",
    recipe: Recipe | None = None,
    rungs: Sequence[int] = (),
    resolution: int = RESOLUTION,
    device: str = "cpu",
    seed: int = 0,
    baselines: Sequence[str] = (),
    prior: Sequence[str | Path] = (),
    blocks: Sequence[str] = (),
    backend: str = "onnxruntime",
    threads: int = 1,
    latency_table: str | Path | None = None,
    force_table: bool = False,
    proxy: str = "auto",
    proxy_time: float | None = None,
    out: str | Path | None = None,
    storage: str | None = None,
    progress: Progress | None = None,
    execution: Execution | None = None,
) -> Run:
    """Search a space for the front of the objectives within a budget; the finished run.

    `space`: a name, a .yaml file or a `Space`; `data`: as `nas.data.load_data` takes it;
    `budget`: one or more as "300M-flops"; `time`: seconds; `confirm`: how many of the front's
    candidates are trained again for longer at the end, by default a few within the time; `rungs`:
    epochs after which a training may be stopped (`nas.rungs`); `prior`: folders of runs on the same
    task, whose results are taken over; `blocks`: names of the modules that register blocks of one's
    own; `backend`, `threads`: what a network is timed by; `latency_table`: the file of a device's
    table, which estimates instead, and `force_table` where it is of another device; `proxy`: alone,
    shared, zero-cost or auto (`nas.settings.PROXY`), `proxy_time` the seconds of training a shared
    network; `out`: the run's folder, by default results/<space>-<time>; `storage`: an Optuna
    storage that mirrors the trials, a database's URL or a journal file; `execution`: where trials
    run, and how many at once.
    Raises InputError before anything is written.
    """
    execution = execution or Execution()
    recipe = (recipe or Recipe()).but(threads=execution.threads)
    found = space if isinstance(space, Space) else load_space(space)
    settings = Settings(
        space=str(found.name if isinstance(space, Space) else space),
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        budget=(budget,) if isinstance(budget, str) else tuple(budget),
        objectives=tuple(ALIASES.get(name, name) for name in objectives),
        trials=trials,
        time=time,
        confirm=confirm,
        sampler=sampler,
        recipe=recipe,
        rungs=tuple(rungs),
        resolution=resolution,
        device=device,
        seed=seed,
        baselines=tuple(baselines),
        prior=tuple(map(str, prior)),
        blocks=tuple(blocks),
        backend=backend,
        threads=threads,
        latency_table=None if latency_table is None else str(latency_table),
        force_table=force_table,
        proxy=proxy,
        proxy_time=proxy_time,
    ).settled(found)
    folder = Path(out) if out else Path("results") / f"{found.name}-{stamp()}"
    check_free(folder)
    seen = progress or Progress()
    with opened(execution.suited(settings), settings.blocks) as place:
        return Search(folder, settings, found, seen, place, storage=storage).run()


def resume(
    path: str | Path,
    *,
    trials: int | None = None,
    time: float | None = None,
    storage: str | None = None,
    confirm: int | None = None,
    progress: Progress | None = None,
    execution: Execution | None = None,
) -> Run:
    """Go on with a run where it ended; `trials` is the new total, `time` counts from now.

    Its mirror goes on too, with `storage` where that has moved, or needs a password; `execution`
    need not be what the run began with.
    """
    folder = Path(path)
    info = read_json(folder / "run.json")
    if info.get("format") != FORMAT:
        raise InputError(f"{folder}/run.json: expected format {FORMAT}, got {info.get('format')!r}")
    import_blocks(info["settings"]["blocks"])  # which may bring a latency back end as well
    settings = Settings.from_dict(info["settings"])
    settings = replace(
        settings,
        trials=settings.trials if trials is None else trials,
        time=settings.time if time is None else time,
        confirm=settings.confirm if confirm is None else confirm,
    )
    text = (folder / "space.yaml").read_text()
    space = parse_space(yaml.safe_load(text), f"{folder}/space.yaml", name=info["space"], text=text)
    seen = progress or Progress()
    with opened((execution or Execution()).suited(settings), settings.blocks) as place:
        return Search(folder, settings, space, seen, place, info, storage).run()


class Search:
    """One run of a search: its folder, and what its loop and its finale work with."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        space: Space,
        progress: Progress,
        place: Place,
        began: dict[str, Any] | None = None,
        storage: str | None = None,
    ) -> None:
        """Check what can be without a trial; `began` is run.json of a run that goes on."""
        self.folder, self.settings, self.progress, self.place = folder, settings, progress, place
        self.fresh, self.info = began is None, began or {}
        self.storage = storage and resolve(storage)
        self.data = cached_data(settings.data, settings.data_dir)
        self.space = space.bind(resolution=settings.resolution, classes=len(self.data.classes))
        self.budget = Budget.parse(settings.budget)
        self.scorer = Scorer.of(settings, self.data)
        if began:
            self.scorer = self.scorer.as_begun(folder, began["task"])
        self.latencies = Latencies(settings, place, folder, began)
        self.rejections = Rejections(folder, settings.seed, progress.say)
        measure, reject = self.latencies.measure, self.rejections.add
        self.gate = Gate(self.space, self.budget, measure, reject, self.latencies.table)

    def run(self) -> Run:
        """Run until the trials, the time or the space is used up; write the front."""
        self.deadline = time.monotonic() + (self.settings.time or math.inf)
        prior = self._prepare() if self.fresh else []
        self._mirror()
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            self._open(prior)
            self._tell()
            try:
                self._get_ready()
                self._search()
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    Run(self.folder).write_front()
                raise
            finally:
                self.progress.stop()
            run = Run(self.folder)
            run.write_front()
        return run

    def _prepare(self) -> list[Trial]:
        """Check that the search can be done, and fix what all its trials share.

        Returns the trials of earlier runs, which count as none of this one's.
        """
        settings = self.settings
        check_prior(settings.prior, self.scorer.task)
        check_budget(self.space, self.budget, settings.seed)
        self.scorer = self.scorer.prepared(self.gate, self.progress)
        self.latencies.calibrate()
        self.info = self._facts()
        if self.latencies.needs_table:
            self._fit_table()
        if "latency" in self.budget:
            check_latency(self.gate)
        worst = self.scorer.score.worst(len(self.data.classes))
        self.info["hypervolume_reference"] = hypervolume_reference(
            self.gate, settings.objectives, worst, settings.seed
        )
        return prior_trials(settings, self.space, self.latencies.clock)

    def _facts(self) -> dict[str, Any]:
        """What run.json says of a new run."""
        return {
            "format": FORMAT,
            "space": self.space.name,
            "settings": asdict(self.settings),
            "task": self.scorer.facts,
            "command": [public(word) for word in sys.argv],
            "versions": versions(),
            "machine": machine(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            **self.latencies.facts,
        }

    def _fit_table(self, trials: Sequence[Trial] = ()) -> DeviceTable:
        self.progress.say("timing networks of the space, to estimate others while workers train")
        return self.latencies.fit_table(self.gate, trials)

    def _mirror(self) -> None:
        """Mirror the trials where that was asked for, now or when the run began.

        A mirror that the run had before is not worth ending a search for.
        """
        known = self.info.get("mirror") or {"study": f"{self.folder.name} {self.info['started']}"}
        if (storage := self.storage or known.get("storage")) is None:
            return
        say = self.progress.say
        try:
            mirror = Mirror(storage, known["study"], self.settings, self.space, say)
        except InputError as error:
            if self.storage:
                raise
            say(f"{error}; the search goes on without this mirror")
        else:
            self.info["mirror"] = {**known, "storage": public(storage)}
            self.progress = Both(self.progress, mirror)

    def _open(self, prior: Sequence[Trial]) -> None:
        """Write what a new run begins with, take up what an earlier session finished."""
        if self.fresh:
            check_free(self.folder)  # another search may have begun at the same time
            write_atomic(self.folder / "space.yaml", self.space.text)
            if prior:
                write_atomic(self.folder / TRIALS, "".join(f"{t.to_json()}\n" for t in prior))
            if self.latencies.table:
                self.latencies.table.save(self.folder / TABLE)
        self.info["settings"] = asdict(self.settings)  # a run that goes on has a new total
        write_json(self.folder / "run.json", self.info)
        self.journal = Journal(self.folder, self.gate.remember)
        self.gate.seen |= self.rejections.ids()
        if self.latencies.needs_table:  # begun in series
            self._fit_table(read_trials(self.folder / TRIALS)).save(self.folder / TABLE)

    def _tell(self) -> None:
        """Tell a person what the search begins with."""
        sample = random_candidates(self.space, SAMPLE, self.settings.seed)
        facts = Facts(
            folder=str(self.folder),
            space=self.space.name,
            settings=self.settings,
            budget=str(self.budget),
            reference=self.info["hypervolume_reference"],
            small_maps=notices.small_maps(sample, self.settings),
            deadline=self.deadline,
        )
        self.progress.start(facts, self.journal.trials)
        for text in chain(
            notices.of_validation(self.scorer.score, self.data),
            notices.of_prior(self.journal.trials, self.space),
            notices.of_latencies(self.latencies, sample),
        ):
            self.progress.say(text)

    def _get_ready(self) -> None:
        """Let what scores the trials get ready; before any, run.json says what became of it."""
        known = self.info["task"].get("shared")
        ready = self.scorer.ready(self.gate, self.folder, known, self.progress)
        if ready is not self.scorer:
            self.scorer = ready
            self.info["settings"]["proxy"] = ready.way
            self.info["task"] |= ready.facts
            write_json(self.folder / "run.json", self.info)

    def _search(self) -> None:
        """Do the trials, and what ends a search."""
        settings, task, progress = self.settings, self.scorer.task, self.progress
        made = self.place.make(task, self.data, self.folder / LOGS, progress.epoch)
        with contextlib.closing(made) as executor:
            end = trials_end(self.deadline, settings.confirm)
            Loop(self.journal, settings, task, self.gate, executor, progress, end).run()
            self._finale(executor).run()

    def _finale(self, executor: Executor) -> Finale:
        return Finale(
            self.folder,
            self.settings,
            self.budget,
            self.scorer.task,
            self.data,
            executor,
            self.deadline,
            self.progress,
            self.latencies.final(self.budget),
            self.latencies.known,
        )
