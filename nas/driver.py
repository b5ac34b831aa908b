"""The search from its first check to its front. One driver owns the study and the files."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from nas.arch import last_map, trace
from nas.blocks import import_blocks
from nas.budget import Budget
from nas.confirm import trials_end
from nas.errors import InputError
from nas.evaluate import Task, cached_data
from nas.executors import Executor
from nas.executors.execution import Execution, Place, opened
from nas.feasible import check_budget, check_latency, hypervolume_reference, random_candidates
from nas.finale import Finale
from nas.gate import Gate, reason_of
from nas.graph import Graph
from nas.journal import Journal
from nas.latency import DeviceTable, Latency, calibrate, measure
from nas.latency.device import Device
from nas.loop import Loop
from nas.metrics import ALIASES
from nas.mirror import Mirror
from nas.prior import Clock, check_prior, prior_trials
from nas.progress import Both, Facts, Progress
from nas.proxies.untrained import Untrained
from nas.recipe import Recipe
from nas.records import (
    LOGS,
    REJECTED,
    SHARED,
    TABLE,
    TRIALS,
    Trial,
    append_line,
    check_free,
    cost_dict,
    locked,
    read_json,
    read_lines,
    read_trials,
    stamp,
    write_atomic,
    write_json,
)
from nas.run import Run
from nas.scores import SCORES
from nas.settings import Settings, machine, versions
from nas.shared.checkpoint import check_same
from nas.space import RESOLUTION, Candidate, Params, Space, proxy_side
from nas.space_file import load_space, parse_space
from nas.space_table import space_table
from nas.storage import public, resolve
from nas.trust import told_apart

FORMAT = 1  # of run.json and trials.jsonl
COARSE = 0.1  # a difference of accuracies that any validation part should tell


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


def find_table(settings: Settings, folder: Path | None, here: Device) -> DeviceTable | None:
    """The table that estimates a search's latencies: its file, or what is in a run's folder.

    Raises InputError where the file is of another device than `here`, unless that is forced.
    """
    if settings.latency_table is None:
        fitted = folder / TABLE if folder else None  # by a search with workers, of its own space
        return DeviceTable.load(fitted) if fitted and fitted.exists() else None
    path = folder / TABLE if folder else Path(settings.latency_table)
    table = DeviceTable.load(path)
    if not settings.force_table:
        table.check(path, here)
    return table


class Search:
    """One run of a search: the study, the records and the loop between them."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        space: Space,
        progress: Progress,
        place: Place,
        info: dict[str, Any] | None = None,
        storage: str | None = None,
    ) -> None:
        self.folder, self.settings, self.progress = folder, settings, progress
        self.storage = storage and resolve(storage)
        self.place = place
        self.data = cached_data(settings.data, settings.data_dir)
        self.space = space.bind(resolution=settings.resolution, classes=len(self.data.classes))
        self.budget = Budget.parse(settings.budget)
        self.task = Task(
            settings.data,
            settings.data_dir,
            self.data.id,
            settings.recipe,
            settings.resolution,
            settings.device,
        )
        self.score = SCORES[settings.way]
        self.timed = settings.timed
        self._engine: Any = {"backend": settings.backend, "threads": settings.threads}
        here = (place.elsewhere.device if place.elsewhere else Device.here)(**self._engine)
        self.table = find_table(settings, folder if info else None, here)
        self.device = self.table.device if self.table else here
        self.gate = Gate(self.space, self.budget, self._measure, self._reject, self.table)
        self.info = info or {}
        if info and info["task"]["data_id"] != self.data.id:
            raise InputError(f"{folder}: the data {settings.data!r} is not what the run began with")
        if info:
            self._take_up_task()
        if info and self.timed and not self.table and (began := info["machine"]["cpu"]) != here.cpu:
            raise InputError(
                f"{folder}: its latencies are of {began}, this machine is {here.cpu}; go on there"
            )
        # Latencies of two devices are never mixed: one that is not here is estimated throughout.
        self.measures = self.device == here

    def run(self) -> Run:
        """Run until the trials, the time or the space is used up; write the front."""
        self.deadline = time.monotonic() + (self.settings.time or math.inf)
        fresh = not self.info
        if fresh:
            self._prepare()
            prior = self._prior()
        self._mirror()
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            if fresh:
                check_free(self.folder)  # another search may have begun at the same time
                write_atomic(self.folder / "space.yaml", self.space.text)
                if prior:
                    write_atomic(self.folder / TRIALS, "".join(f"{t.to_json()}\n" for t in prior))
                if self.table:
                    self.table.save(self.folder / TABLE)
            self.info["settings"] = asdict(self.settings)  # a run that goes on has a new total
            write_json(self.folder / "run.json", self.info)
            self._load()
            if self._needs_table:  # begun in series
                self._fit_table(read_trials(self.folder / TRIALS)).save(self.folder / TABLE)
            self.progress.start(self._describe(), self.journal.trials)
            self._tell_of_validation()
            self._tell_of_prior()
            self._tell_of_table()
            try:
                if self.settings.shares_weights:
                    self._share_weights()
                self._run()
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to tell
                    Run(self.folder).write_front()
                raise
            finally:
                self.progress.stop()
            run = Run(self.folder)
            run.write_front()
        return run

    # Beginning -----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Check that the search can be done, and fix what all its trials share."""
        settings, worst = self.settings, self.score.worst(len(self.data.classes))
        check_prior(settings.prior, self.task)
        check_budget(self.space, self.budget, settings.seed)
        if settings.way == "zero-cost":
            self._compare_untrained()
        self.info = {
            "format": FORMAT,
            "space": self.space.name,
            "settings": asdict(settings),
            "task": {
                "id": self.task.id,
                "data_id": self.data.id,
                "classes": self.data.classes,
                "proxy": settings.way,
                "untrained": self.task.untrained and asdict(self.task.untrained),
            },
            "command": [public(word) for word in sys.argv],
            "versions": versions(),
            "machine": machine(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "latencies_of": self.device.to_dict() if self.timed else None,
            "reference_ms": self._reference_ms() if self.timed else None,
        }
        if self._needs_table:
            self._fit_table()
        if "latency" in self.budget:
            check_latency(self.gate)
        self.info["hypervolume_reference"] = hypervolume_reference(
            self.gate, settings.objectives, worst, settings.seed
        )

    def _compare_untrained(self) -> None:
        """Score random networks, among which those of the search have their standing."""
        from nas.proxies.scoring import untrained  # only where it is asked for

        self.progress.say(
            "note: scores of untrained networks are no accuracies, and order networks no better "
            "than counting their activations; --confirm N trains N of the front"
        )
        found = untrained(self.gate, self.task, self.settings.seed)
        self.task = replace(self.task, untrained=found)

    def _take_up_task(self) -> None:
        """What scores a run's networks is what it was when the run began."""
        task = self.info["task"]
        began = task.get("proxy", "alone")  # earlier versions ranked all by accuracy
        if began != self.settings.way:
            raise InputError(
                f"{self.folder}: its trials are ranked by {SCORES[began].label}, new ones would be "
                f"by {self.score.label}; expected a new search"
            )
        if known := task.get("untrained"):
            self.task = replace(self.task, untrained=Untrained(**known))

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

    def _reference_ms(self) -> float:
        if self.table:
            return self.table.reference_ms
        elsewhere = self.place.elsewhere
        return (elsewhere.calibrate if elsewhere else calibrate)(**self._engine)

    @property
    def _needs_table(self) -> bool:
        """Whether latencies are to be estimated, as nothing can be timed beside trainings."""
        return self.timed and self.place.execution.parallel and self.table is None

    def _fit_table(self, trials: Sequence[Trial] = ()) -> DeviceTable:
        """Time some networks of the space before workers train, for estimates of the others."""
        self.progress.say("timing networks of the space, to estimate others while workers train")
        reference_ms, count = self.info["reference_ms"], self.settings.trials
        self.table = self.gate.table = space_table(
            self.gate, trials, self.device, reference_ms, self.settings.seed, count
        )
        return self.table

    def _share_weights(self) -> None:
        """Train the shared network that all trials are parts of; it takes part of the time."""
        from nas.shared.prepare import job_of, prepare, unlearned  # only where it is asked for

        folder = self.folder.absolute() / SHARED
        known = self.info["task"].get("shared")
        check_same(folder, known)
        self.progress.say(
            "first a network is trained that all candidates are parts of; "
            "--proxy alone trains each of them instead"
        )
        job = job_of(self.settings, self.gate, self.task, folder)
        try:
            found = prepare(job, self.progress.say, self.progress.shared_epoch)
            trouble = unlearned(found, self.data.train)
        except Exception as error:  # nobody asked for it, so nothing of it may end the search
            if known or not self.settings.auto:
                raise
            found, trouble = None, reason_of(error)
        if trouble:
            self.progress.say(f"note: {trouble}")
        if trouble and self.settings.auto and not known:
            self.progress.say("so each candidate is trained alone")
            self.settings = replace(self.settings, proxy="alone")
            self.score = SCORES["alone"]
        else:
            self.task = replace(self.task, shared=found)
        self.info["settings"]["proxy"] = self.info["task"]["proxy"] = self.settings.proxy
        shared = self.task.shared
        self.info["task"] |= {"id": self.task.id, "shared": shared and shared.id}
        write_json(self.folder / "run.json", self.info)

    def _run(self) -> None:
        settings, task, progress = self.settings, self.task, self.progress
        made = self.place.make(task, self.data, self.folder / LOGS, progress.epoch)
        with contextlib.closing(made) as executor:
            end = trials_end(self.deadline, settings.confirm)
            Loop(self.journal, settings, task, self.gate, executor, progress, end).run()
            self._finale(executor).run()

    def _load(self) -> None:
        """Take up what an earlier session finished; a line that was cut is dropped."""
        self.journal = Journal(self.folder, self.gate.remember)
        rejected = read_lines(self.folder / REJECTED, repair=True)
        self.gate.seen |= {line["id"] for line in rejected if line.get("id")}

    def _prior(self) -> list[Trial]:
        """The trials of earlier runs, which count as none of this one's."""
        clock = None
        if self.timed and self.settings.prior:
            source = self.table.latency if self.table else self._measure
            device = self.device.to_dict()
            clock = Clock(self.info["reference_ms"], **device, measure=source)
        return prior_trials(self.settings, self.space, clock)

    def _describe(self) -> Facts:
        return Facts(
            folder=str(self.folder),
            space=self.space.name,
            settings=self.settings,
            budget=str(self.budget),
            reference=self.info["hypervolume_reference"],
            small_maps=self._small_maps(),
            deadline=self.deadline,
        )

    def _tell_of_validation(self) -> None:
        images = len(self.data.validation)
        if self.score.counted and (apart := told_apart(0.5, images)) > COARSE:
            self.progress.say(
                f"note: {images} validation images tell {self.score.plural} about 50% apart that "
                f"differ by {100 * apart:.0f} points or more: few to rank by"
            )

    def _tell_of_prior(self) -> None:
        prior = [trial for trial in self.journal.trials if trial.source]
        strangers = sum(not self.space.has(trial.params) for trial in prior)
        if strangers:
            self.progress.say(
                f"{strangers} of {len(prior)} earlier results are no points of this space: "
                "they may be on the front, but the sampler cannot learn from them"
            )

    def _tell_of_table(self) -> None:
        if self.table is None:
            return
        after = "the front is measured at the end" if self.measures else "nothing is measured here"
        self.progress.say(f"latencies are estimates for {self.device}; {after}")
        estimator = self.table.estimator
        unseen = {kind for c in self._sample for kind in estimator.unseen(c.graph)}
        if unseen:
            self.progress.say(
                f"note: no network of the table had {', '.join(sorted(unseen))}; "
                "estimates of architectures with it are rough"
            )

    def _small_maps(self) -> float:
        """The share of proxies whose last map is under 2x2, where little is left to learn from."""
        small = 0
        for candidate in self._sample:
            side = proxy_side(
                candidate.arch.input[1],
                self.settings.resolution,
                self.settings.recipe.proxy_resolution,
            )
            small += last_map(trace(replace(candidate.arch, input=(3, side, side)))) < 2
        return small / max(len(self._sample), 1)

    @cached_property
    def _sample(self) -> list[Candidate]:
        """Random points of the space, for what is said of it before the first trial."""
        return random_candidates(self.space, 50, self.settings.seed)

    def _finale(self, executor: Executor) -> Finale:
        times_front = self.measures and ("latency" in self.budget or self.table is not None)
        return Finale(
            self.folder,
            self.settings,
            self.budget,
            self.task,
            self.data,
            executor,
            self.deadline,
            self.progress,
            self._measure if times_front else None,
            self._known,
        )

    def _known(self, graph: Graph) -> Latency:
        """The best that can be known of a latency here, while nothing else runs."""
        if self.table and not self.measures:
            return self.table.latency(graph)
        return self._measure(graph)

    def _measure(self, graph: Graph) -> Latency:
        elsewhere = self.place.elsewhere
        function = elsewhere.measure if elsewhere else measure
        return function(graph, reference_ms=self.info["reference_ms"], **self._engine)

    def _reject(self, what: Candidate | Params, reason: str, latency: Latency | None) -> None:
        known = isinstance(what, Candidate)
        line = Trial(
            number=-1,
            id=what.id if isinstance(what, Candidate) else "",
            params=what.params if isinstance(what, Candidate) else what,
            arch={},
            cost=cost_dict(what.cost) if isinstance(what, Candidate) else {},
            state="rejected",
            seed=self.settings.seed,
            latency=latency.to_dict() if latency else None,
            error=reason,
        )
        if self.folder.exists():
            append_line(self.folder / REJECTED, line.to_json())
        if not known:
            self.progress.say(f"a block raised {reason}; such architectures are passed over")
