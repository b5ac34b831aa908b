"""A run's folder and its records: `trials.jsonl` is the truth, a line a trial, synced to the disk.

run.json              settings, versions, machine: all that is needed to repeat the run
space.yaml            the space as it was read
device.json           the table that its latencies are estimated from, if any
logs/NUMBER.log       what a trial's worker printed, and why it was lost
trials.jsonl          a line a finished trial
rungs.jsonl           a line a rung passed, and state/NUMBER.safetensors, to go on from there
shared/               with --proxy shared: the network that all trials are parts of
final.jsonl           latencies of the front, measured at the end: see docs/files.md
rejected.jsonl        proposals that a latency budget or a block's error kept from being trials
confirmed.jsonl       candidates of the front, trained again for longer
baselines.jsonl       published networks under the same recipe; no trials
front.csv, front.png, architectures/NUMBER.yaml          the front, written at the end
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any

from nas.arch import Architecture
from nas.budget import Budget
from nas.cost import Cost
from nas.errors import InputError
from nas.scores import standard_error

COMPLETE, STOPPED, FAILED = "complete", "stopped", "failed"
RUNNING = "running"  # only in rungs.jsonl
TRIALS, RUNGS = "trials.jsonl", "rungs.jsonl"
FINAL, REJECTED, BASELINES = "final.jsonl", "rejected.jsonl", "baselines.jsonl"
CONFIRMED = "confirmed.jsonl"
TABLE, SHARED, LOGS = "device.json", "shared", "logs"
LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Result:
    """What an evaluation found, with what is needed to judge its noise.

    `accuracy` and `cross_entropy` are of the validation part, of `validation_size` images; None of
    none, where the network was not trained.
    `curve` is the mean training loss of each epoch, `rungs` are (epochs, accuracy) wherever it was
    scored; `seconds` is the wall time of the evaluation, without what it waited for measurements.
    `score`, in [0, 1], is what a search ranks by (`nas.scores`): the accuracy where nothing else is
    said, as in the lines of earlier versions. `score_error` is its standard error, that of an
    accuracy of its size where nothing else is said.
    """

    accuracy: float | None
    cross_entropy: float | None
    validation_size: int
    curve: tuple[float, ...]
    rungs: tuple[tuple[int, float], ...]
    seconds: float
    score: float = math.nan
    score_error: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.score) and self.accuracy is not None:
            object.__setattr__(self, "score", self.accuracy)
        if math.isnan(self.score_error):
            error = standard_error(self.score, self.validation_size)
            object.__setattr__(self, "score_error", error)


@dataclass(frozen=True, slots=True)
class Trial:
    """A line of trials.jsonl; a baseline's too, whose `name` is that of the published network.

    `source` says which trial of an earlier run this one was taken from: results/old:12. `cpu` is
    the processor of the machine that trained it, `retries` how often its worker was lost.
    """

    number: int
    id: str
    params: dict[str, Any]
    arch: dict[str, Any]
    cost: dict[str, int]
    state: str
    seed: int
    result: Result | None = None
    latency: dict[str, Any] | None = None
    error: str | None = None
    name: str | None = None
    source: str | None = None
    sampler: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    retries: int = 0
    cpu: str | None = None

    @property
    def architecture(self) -> Architecture:
        return Architecture.from_dict(self.arch, f"trial {self.number}")

    def value(self, objective: str) -> float | None:
        """The objective's value, None where this trial has none; of accuracy it is the score."""
        if objective == "accuracy":
            return self.result.score if self.result else None
        if objective == "latency":
            return self.latency["latency_ms"] if self.latency else None
        return self.cost[objective]

    def within(self, budget: Budget) -> bool:
        """Whether no limit is exceeded; what is not known exceeds none."""
        return budget.allows({name: self.value(name) for name, _ in budget.limits})

    def light(self) -> Trial:
        """Without the architecture, most of what it weighs, which its line on the disk has."""
        return replace(self, arch={})

    def to_json(self) -> str:
        data = {own.name: getattr(self, own.name) for own in fields(self)}
        return json.dumps(data, allow_nan=False, ensure_ascii=False, default=asdict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Trial:
        result = data.get("result")
        if result is not None:
            rungs = tuple((epochs, accuracy) for epochs, accuracy in result["rungs"])
            result = Result(**{**result, "curve": tuple(result["curve"]), "rungs": rungs})
        # The lines of a run have the same names: once in memory, not once a line.
        params = {sys.intern(name): value for name, value in data["params"].items()}
        return cls(**{**data, "params": params, "result": result})


def own(trials: Sequence[Trial]) -> list[Trial]:
    """Those of this run, without what it took from earlier ones."""
    return [trial for trial in trials if trial.source is None]


def cost_dict(cost: Cost) -> dict[str, int]:
    """A cost with its derived values, as records hold it."""
    return {**asdict(cost), "size": cost.size}


def append_line(path: Path, text: str) -> None:
    """Append a line so that it is on the disk when this returns, or not in the file at all."""
    # NOTE: no buffer: on closing, it would write the rest of a line that was taken back.
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            rest = text.encode() + b"\n"
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # a full disk must not leave half a line
                os.truncate(path, size)
            error.filename = str(path)
            raise


def read_lines(path: Path, *, repair: bool = False) -> list[dict[str, Any]]:
    """The lines of a file; a last line that was cut is left out, and cut off where `repair`.

    Raises InputError where any other line is not what was written.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if repair and len(whole) < len(data):
        os.truncate(path, len(whole))
    return [_line(path, n, line) for n, line in enumerate(whole.splitlines(), 1)]


def _line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{path}: line {number}: expected a JSON object, got {line[:40]!r}")
    return found


def read_trials(path: Path, *, repair: bool = False) -> list[Trial]:
    """The trials of a file in order; raises InputError with the line of a bad one."""
    trials = []
    for number, data in enumerate(read_lines(path, repair=repair), 1):
        try:
            trials.append(Trial.from_dict(data))
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: line {number}: not a trial ({error})") from None
    return trials


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave the old one."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_atomic(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises InputError."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; is {path.parent} a run?") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a JSON object, got {data!r}")
    return data


def check_free(folder: Path) -> None:
    """Raise InputError unless a folder may be begun there."""
    if folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= {LOCK}):
        raise InputError(f"{folder}: exists; go on with --resume {folder}, or name another --out")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"--out {folder}: {there} is no folder that one can write to")


def stamp() -> str:
    """The time, as the names of folders have it."""
    return time.strftime("%Y%m%d-%H%M%S")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Hold a run's folder alone; raises InputError where another process does."""
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another process is writing there") from None
        yield file


def in_use(folder: Path) -> bool:
    """Whether a search is writing to a run's folder now."""
    try:
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
