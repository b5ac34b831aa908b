"""The search: ask → gate → evaluate → tell → record. One driver owns the study and the files."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.arch import last_map, trace
from nas.baselines import baseline
from nas.blocks import import_blocks
from nas.budget import Budget
from nas.errors import InputError
from nas.evaluate import Task, cached_data, evaluate
from nas.feasible import check_budget, check_latency, hypervolume_reference, random_candidates
from nas.gate import Gate
from nas.graph import Graph
from nas.latency import Latency, calibrate, measure
from nas.latency.measurement import cpu_name
from nas.metrics import ALIASES, METRICS
from nas.progress import Facts, Progress
from nas.records import (
    BASELINES,
    COMPLETE,
    FAILED,
    LOCK,
    REJECTED,
    TRIALS,
    Trial,
    append_line,
    cost_dict,
    locked,
    read_json,
    read_lines,
    read_trials,
    write_atomic,
    write_json,
)
from nas.run import Run
from nas.samplers import GatedSampler, SpaceExhausted, make_sampler
from nas.settings import Settings, machine, versions
from nas.space import RESOLUTION, Candidate, Params, Space, proxy_side
from nas.space_file import load_space, parse_space
from nas.train import Recipe

FORMAT = 1  # of run.json and trials.jsonl
HOPELESS = 5  # failed trials from the start, after which a search ends


def search(
    *,
    space: str | Path | Space = "mobile",
    data: str = "digits",
    data_dir: str | Path | None = None,
    budget: str | Iterable[str] = (),
    objectives: Sequence[str] = ("accuracy", "latency"),
    trials: int = 40,
    time: float | None = None,
    sampler: str = "nsga2",
    recipe: Recipe | None = None,
    resolution: int = RESOLUTION,
    device: str = "cpu",
    seed: int = 0,
    baselines: Sequence[str] = (),
    blocks: Sequence[str] = (),
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Search a space for the front of the objectives within a budget; the finished run.

    `space`: a name, a .yaml file or a `Space`; `data`: as `nas.data.load_data` takes it;
    `budget`: one or more as "300M-flops"; `time`: seconds; `blocks`: names of the modules that
    register blocks of one's own; `out`: the run's folder, by default results/<space>-<time>.
    Raises InputError before anything is written.
    """
    found = space if isinstance(space, Space) else load_space(space)
    settings = Settings(
        space=str(found.name if isinstance(space, Space) else space),
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        budget=(budget,) if isinstance(budget, str) else tuple(budget),
        objectives=tuple(ALIASES.get(name, name) for name in objectives),
        trials=trials,
        time=time,
        sampler=sampler,
        recipe=recipe or Recipe(),
        resolution=resolution,
        device=device,
        seed=seed,
        baselines=tuple(baselines),
        blocks=tuple(blocks),
    )
    folder = Path(out) if out else Path("results") / f"{found.name}-{_stamp()}"
    _check_free(folder)
    driver = Search(folder, settings, found, progress or Progress())
    return driver.run()


def resume(
    path: str | Path,
    *,
    trials: int | None = None,
    time: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Go on with a run where it ended; `trials` is the new total, `time` counts from now."""
    folder = Path(path)
    info = read_json(folder / "run.json")
    if info.get("format") != FORMAT:
        raise InputError(f"{folder}/run.json: expected format {FORMAT}, got {info.get('format')!r}")
    settings = Settings.from_dict(info["settings"])
    settings = replace(
        settings,
        trials=settings.trials if trials is None else trials,
        time=settings.time if time is None else time,
    )
    import_blocks(settings.blocks)
    text = (folder / "space.yaml").read_text()
    space = parse_space(yaml.safe_load(text), f"{folder}/space.yaml", name=info["space"], text=text)
    return Search(folder, settings, space, progress or Progress(), info).run()


def _check_free(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= {LOCK}):
        raise InputError(f"{folder}: exists; go on with --resume {folder}, or name another --out")


def _stamp() -> str:
    return time.strftime("%Y%m%d-%H%M%S")


class Search:
    """One run of a search: the study, the records and the loop between them."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        space: Space,
        progress: Progress,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.folder, self.settings, self.progress = folder, settings, progress
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
        self.timed = "latency" in settings.objectives or "latency" in self.budget
        self.gate = Gate(self.space, self.budget, self._measure, self._reject)
        self.trials: list[Trial] = []
        self.info = info or {}
        if info and info["task"]["data_id"] != self.data.id:
            raise InputError(f"{folder}: the data {settings.data!r} is not what the run began with")
        if info and self.timed and (began := info["machine"]["cpu"]) != cpu_name():
            raise InputError(
                f"{folder}: its latencies are of {began}, this machine is {cpu_name()}; go on there"
            )

    def run(self) -> Run:
        """Run until the trials, the time or the space is used up; write the front."""
        fresh = not self.info
        if fresh:
            self._prepare()
            self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder):
            if fresh:
                _check_free(self.folder)  # another search may have begun at the same time
                write_atomic(self.folder / "space.yaml", self.space.text)
            self.info["settings"] = asdict(self.settings)  # a run that goes on has a new total
            write_json(self.folder / "run.json", self.info)
            self._load()
            self.progress.start(self._describe(), self.trials)
            try:
                self._loop()
                self._baselines()
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
        settings, classes = self.settings, len(self.data.classes)
        check_budget(self.space, self.budget, settings.seed)
        self.info = {
            "format": FORMAT,
            "space": self.space.name,
            "settings": asdict(settings),
            "task": {"id": self.task.id, "data_id": self.data.id, "classes": self.data.classes},
            "command": sys.argv,
            "versions": versions(),
            "machine": machine(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "reference_ms": calibrate() if self.timed else None,
        }
        if "latency" in self.budget:
            check_latency(self.gate)
        self.info["hypervolume_reference"] = hypervolume_reference(
            self.gate, settings.objectives, classes, settings.seed
        )

    def _load(self) -> None:
        """Take up what an earlier session finished; a line that was cut is dropped."""
        self.trials = read_trials(self.folder / TRIALS, repair=True)
        rejected = read_lines(self.folder / REJECTED, repair=True)
        self.gate.seen = {trial.id for trial in self.trials}
        self.gate.seen |= {line["id"] for line in rejected if line.get("id")}

    def _describe(self) -> Facts:
        return Facts(
            folder=str(self.folder),
            space=self.space.name,
            settings=self.settings,
            budget=str(self.budget),
            reference=self.info["hypervolume_reference"],
            small_maps=self._small_maps(),
        )

    def _small_maps(self) -> float:
        """The share of proxies whose last map is under 2x2, where little is left to learn from."""
        sample, small = random_candidates(self.gate, 50, self.settings.seed), 0
        for candidate in sample:
            side = proxy_side(
                candidate.arch.input[1],
                self.settings.resolution,
                self.settings.recipe.proxy_resolution,
            )
            small += last_map(trace(replace(candidate.arch, input=(3, side, side)))) < 2
        return small / max(len(sample), 1)

    # The loop ------------------------------------------------------------------------------------

    def _loop(self) -> None:
        study = self._study()
        distributions = self.space.distributions()
        deadline = time.monotonic() + (self.settings.time or float("inf"))
        while len(self.trials) < self.settings.trials and time.monotonic() < deadline:
            started = time.perf_counter()
            try:
                asked = study.ask(distributions)
                if not distributions:  # Optuna asks no sampler where there is nothing to choose
                    self.gate.mend({}, random.Random())
            except SpaceExhausted as end:
                self.progress.say(f"{end}; the search ends after {len(self.trials)} trials")
                return
            candidate = self.space.candidate(dict(asked.params))
            trial = self._evaluate(candidate, study.get_trials(deepcopy=False)[-1], started)
            self._tell(study, asked, trial)
            append_line(self.folder / TRIALS, trial.to_json())
            self.trials.append(trial)
            self.gate.seen.add(trial.id)
            self.progress.trial(trial, self.trials)
            self._check_hope()

    def _study(self) -> optuna.Study:
        """The study of all trials so far, with a sampler seeded by seed and their number."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = _seed(self.settings.seed, len(self.trials))
        inner = make_sampler(self.settings.sampler, seed, self.settings.trials)
        distributions = self.space.distributions()
        sampler = GatedSampler(inner, distributions, self.gate.admits, self.gate.mend, seed)
        maximise = [METRICS[name].maximise for name in self.settings.objectives]
        study = optuna.create_study(
            directions=["maximize" if up else "minimize" for up in maximise], sampler=sampler
        )
        for trial in self.trials:
            study.add_trial(self._frozen(trial, distributions))
        return study

    def _frozen(self, trial: Trial, distributions: dict[str, Any]) -> FrozenTrial:
        complete = trial.state == COMPLETE
        return create_trial(
            state=TrialState.COMPLETE if complete else TrialState.FAIL,
            params=trial.params,
            distributions=distributions,
            values=[trial.value(n) for n in self.settings.objectives] if complete else None,  # type: ignore[misc]
            system_attrs=trial.sampler,
        )

    def _evaluate(self, candidate: Candidate, asked: FrozenTrial, started: float) -> Trial:
        seed = _seed(self.settings.seed, candidate.id)
        base = Trial(
            number=len(self.trials),
            id=candidate.id,
            params=candidate.params,
            arch=candidate.arch.to_dict(),
            cost=cost_dict(candidate.cost),
            state=FAILED,
            seed=seed,
            sampler={k: v for k, v in asked.system_attrs.items() if k.endswith(":generation")},
        )
        self.progress.begin(base)
        try:
            latency = self.gate.latency(candidate).to_dict() if self.timed else None
            result = evaluate(candidate.arch, self.task, seed, self.progress.epoch)
        except Exception as error:  # one bad network must not end a search
            reason = f"{type(error).__name__}: {error}"
            return replace(base, error=reason, seconds=time.perf_counter() - started)
        return replace(
            base,
            state=COMPLETE,
            result=result,
            latency=latency,
            seconds=time.perf_counter() - started,
        )

    def _tell(self, study: optuna.Study, asked: optuna.Trial, trial: Trial) -> None:
        if trial.state == COMPLETE:
            study.tell(asked, [trial.value(name) for name in self.settings.objectives])  # type: ignore[misc]
        else:
            study.tell(asked, state=TrialState.FAIL)

    def _check_hope(self) -> None:
        if len(self.trials) == HOPELESS and all(t.state == FAILED for t in self.trials):
            raise InputError(
                f"{self.folder}: all of the first {HOPELESS} trials failed, "
                f"the last with {self.trials[-1].error}"
            )

    def _measure(self, graph: Graph) -> Latency:
        return measure(graph, reference_ms=self.info["reference_ms"])

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

    # Baselines and the end -----------------------------------------------------------------------

    def _baselines(self) -> None:
        """Evaluate published networks by the same recipe; they are no trials."""
        path = self.folder / BASELINES
        done = {trial.name for trial in read_trials(path, repair=True)}
        for name in self.settings.baselines:
            if name not in done:
                self.progress.say(f"baseline {name}")
                found = baseline(
                    name,
                    self.task,
                    len(self.data.classes),
                    lambda identity: _seed(self.settings.seed, identity),
                    self._measure if self.timed else None,
                )
                append_line(path, found.to_json())


def _seed(*facts: object) -> int:
    """A seed that follows from facts, whatever the order in which trials run."""
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % 2**31
