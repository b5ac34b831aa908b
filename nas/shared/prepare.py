"""From a space to a trained shared network in a folder: said before it begins, and resumable."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError

from nas.arch import trace
from nas.data import Images
from nas.errors import InputError
from nas.evaluate import Task, cached_data, proxy_images
from nas.gate import Gate
from nas.latency.lock import together
from nas.net import threads
from nas.records import write_atomic, write_json
from nas.settings import Settings
from nas.shared import checkpoint
from nas.shared.checkpoint import FACTS, FORMAT, STATE, Checkpoint, read_facts
from nas.shared.layout import Layout, family_of
from nas.shared.memory import check_memory
from nas.shared.network import SharedNetwork
from nas.shared.paths import Paths
from nas.shared.survey import survey
from nas.shared.training import SharedRecipe, SharedTraining, shared_recipe
from nas.space import Space, proxy_side
from nas.training.loop import Diverged

SECONDS = 360.0  # of training, where nothing else is said
TIMED = 10  # steps that threads are compared by
ROUNDS = 4  # as many steps, that an epoch's seconds are estimated by: paths differ by far
KEEP = 30.0  # seconds from one state to go on from to the next
LEARNED = 0.95  # of guessing's loss, beneath which a network has learned something
SLOWER = 0.3  # times the learning rate, after a training that diverged
GENTLE = 1e-9  # a learning rate by which no timed step diverges, and which takes as long as any

Say: TypeAlias = Callable[[str], None]
OnEpoch: TypeAlias = Callable[[int, int, float], None]  # epochs done, of how many, mean loss
Facts: TypeAlias = dict[str, Any]  # shared.json


@dataclass(frozen=True, slots=True)
class Job:
    """A shared network to be trained for a space and a task, in a folder of its own.

    In at most about `seconds`, or for all epochs of the recipe where that is None.
    """

    space: Space
    paths: Paths
    task: Task
    how: SharedRecipe
    seconds: float | None
    seed: int
    folder: Path


def job_of(settings: Settings, gate: Gate, task: Task, folder: Path) -> Job:
    """What a search asks for: at most a third of its time goes into the shared network."""
    third = settings.time / 3 if settings.time else math.inf
    return Job(
        gate.space,
        Paths(gate.space, gate.excess),
        task,
        SharedRecipe(shared_recipe(task.recipe), task.resolution),
        settings.proxy_time or min(SECONDS, third),
        settings.seed,
        folder,
    )


def prepare(job: Job, say: Say, on_epoch: OnEpoch) -> Checkpoint:
    """Train the network of a job, go on with it, or take it where it is trained.

    Seconds become epochs before the training begins, by timing some steps, on as many threads as
    take the least time; both numbers are written down, so that all else follows from the seed.
    Raises InputError where the folder's is damaged, or of another space, run or version, memory is
    short, or the training diverges twice.
    """
    layout = survey(job.space)
    facts = read_facts(job.folder, layout)
    _check_origin(job, facts or {})
    if found := checkpoint.find(job.folder):
        checkpoint.pack(found)  # raises here what else every trial would
        return found
    _check_head(job)
    say(check_memory(job.space, layout, job.how))
    if layout.modules:
        say(own_weights(layout))
    if facts is None:
        job.folder.mkdir(parents=True, exist_ok=True)
        facts = _begin(job, layout)
    say(f"it is trained for {facts['epochs']} epochs by random architectures within the budget")
    return _trained(job, layout, facts, say, on_epoch)


def unlearned(found: Checkpoint, images: Images) -> str | None:
    """A sentence where a trained network is hardly better than guessing, and ranks by little.

    The best guess knows how frequent each class is among the images: its loss is their entropy.
    """
    facts, shares = read_facts(Path(found.path)), images.y.bincount() / len(images)
    guessing = float(torch.special.entr(shares).sum())
    loss = facts["curve"][-1] if facts and facts["curve"] else 0.0
    if loss < LEARNED * guessing:
        return None
    return (
        f"the shared network has learned little: its loss ends at {loss:.2f}, guessing has "
        f"{guessing:.2f}; expected a longer --proxy-time, or --proxy alone"
    )


def own_weights(layout: Layout) -> str:
    """What is said of torch modules of a person's own, in which no two widths share weights."""
    blocks = sorted({family_of(key) for key in layout.modules})
    modules = sorted({own.layer.factory.__qualname__ for own in layout.modules.values()})
    return (
        f"note: {', '.join(modules)} in {', '.join(blocks)} cannot be cut to a width, so that each "
        "number of channels has weights of its own there, which learn from fewer steps"
    )


def _check_head(job: Job) -> None:
    classes = len(cached_data(job.task.data, job.task.data_dir).classes)
    outputs = trace(next(job.paths.draw(random.Random(0)))).output[0]
    if outputs != classes:
        raise InputError(
            f"space {job.space.name}: expected a head of {classes} outputs, a class each, for "
            f"--proxy shared, got {outputs}; --proxy alone trains such networks"
        )


def _check_origin(job: Job, facts: Facts) -> None:
    for name, ours in _origin(job).items():
        if (theirs := facts.get(name, ours)) != ours:
            raise InputError(
                f"{job.folder / FACTS}: {name}: expected {ours!r}, got {theirs!r}: it is of "
                "another run; put this run's back, or begin another run"
            )


def _origin(job: Job) -> Facts:
    return {"data_id": job.task.data_id, "seed": job.seed}


def _begin(job: Job, layout: Layout) -> Facts:
    recipe = job.how.recipe
    facts = {
        "format": FORMAT,
        "layout": layout.to_dict(),
        "how": asdict(job.how),
        **_origin(job),
        "epochs": recipe.epochs,
        "threads": recipe.threads,
        "learning_rate": recipe.learning_rate,
        "curve": [],
        "seconds": 0.0,
    }
    if job.seconds:
        facts |= _fitted(job, layout, facts, job.seconds)
    write_json(job.folder / FACTS, facts)
    return facts


def _fitted(job: Job, layout: Layout, facts: Facts, seconds: float) -> Facts:
    """The fastest number of threads, and the epochs that fit into the seconds with it."""

    def epoch(count: int, rounds: int = 1) -> float:
        return _epoch_seconds(job, layout, facts, count, rounds)

    counts = _counts(job.how.recipe.threads)
    fastest = min(counts, key=epoch) if len(counts) > 1 else counts[0]
    return {"threads": fastest, "epochs": max(1, int(seconds / epoch(fastest, ROUNDS)))}


def _counts(threads: int) -> list[int]:
    """From all threads by halves down to one: on small images fewer may be faster."""
    return [threads >> n for n in range(threads.bit_length())]


def _epoch_seconds(job: Job, layout: Layout, facts: Facts, count: int, rounds: int) -> float:
    """By so many `rounds` of steps on `count` threads, after one that is not timed."""
    images, batch = _images(job), job.how.recipe.batch
    few = images.take(slice(TIMED * batch))
    gentle = {**facts, "epochs": 1 + rounds, "learning_rate": GENTLE}
    training = _training(job, layout, gentle, few)
    with together(), threads(count):
        training.advance(1)  # the first steps take longer
        started = time.perf_counter()
        training.advance(1 + rounds)
    return (time.perf_counter() - started) / rounds * len(images) / len(few)


def _training(job: Job, layout: Layout, facts: Facts, images: Images) -> SharedTraining:
    recipe = job.how.recipe.but(epochs=facts["epochs"], learning_rate=facts["learning_rate"])
    return SharedTraining(
        SharedNetwork(layout, job.seed),
        images,
        cached_data(job.task.data, job.task.data_dir),
        replace(job.how, recipe=recipe),
        job.paths,
        seed=job.seed,
        device=job.task.device,
    )


def _images(job: Job) -> Images:
    """Training images at the largest proxy's size."""
    side = proxy_side(job.task.resolution, job.task.resolution, job.how.recipe.proxy_resolution)
    return proxy_images(replace(job.task, recipe=job.how.recipe), side)[0]


def _trained(job: Job, layout: Layout, facts: Facts, say: Say, on_epoch: OnEpoch) -> Checkpoint:
    """Train to the end; where that diverges, once more with a lower learning rate."""
    try:
        return _train(job, layout, facts, on_epoch)
    except Diverged as error:
        rate = SLOWER * job.how.recipe.learning_rate
        if facts["learning_rate"] == rate:
            curve = ", ".join(f"{loss:.3g}" for loss in facts["curve"]) or "none"
            raise InputError(
                f"the shared network diverged with learning rate {rate:g} too: {error}; losses of "
                f"the epochs before: {curve}"
            ) from None
        say(f"{error}; it begins again with learning rate {rate:g}")
        facts |= {"learning_rate": rate, "curve": []}
        (job.folder / STATE).unlink(missing_ok=True)
        write_json(job.folder / FACTS, facts)
        return _trained(job, layout, facts, say, on_epoch)


def _train(job: Job, layout: Layout, facts: Facts, on_epoch: OnEpoch) -> Checkpoint:
    training, state = _training(job, layout, facts, _images(job)), job.folder / STATE
    if state.exists():
        _go_on(training, state)
    kept, earlier, started = time.monotonic(), facts["seconds"], time.monotonic()
    for epoch in range(len(training.curve), facts["epochs"]):
        with together(), threads(facts.get("threads", job.how.recipe.threads)):
            training.advance(epoch + 1)
        seconds = round(earlier + time.monotonic() - started, 1)
        facts |= {"curve": training.curve, "seconds": seconds}
        on_epoch(epoch + 1, facts["epochs"], training.curve[-1])
        if time.monotonic() - kept > KEEP and epoch + 1 < facts["epochs"]:
            write_json(job.folder / FACTS, facts)
            write_atomic(state, training.save())
            kept = time.monotonic()
    facts["steps"] = training.module.steps_by_family()
    tensors = {n: t for n, t in training.module.state_dict().items() if n != "steps"}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise Diverged("the last step's weights are not finite")  # which no loss has seen
    return checkpoint.save(job.folder, tensors, facts)


def _go_on(training: SharedTraining, state: Path) -> None:
    """Raises InputError where a state is not what was written for this training."""
    try:
        training.load(state.read_bytes())
    except (ValueError, KeyError, RuntimeError, SafetensorError):
        raise InputError(
            f"{state}: expected the whole state of this training, got one that was cut or is of "
            "another; delete it, and the training begins again"
        ) from None
