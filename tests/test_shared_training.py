"""Training a shared network: paths within the budget, going on after a kill, scores, searches."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import RECIPE, RECIPE_YAML, SMALL, wait_for
from faulty import faulty  # noqa: F401 a fixture

import nas
from nas import executors
from nas.cost import cost
from nas.errors import InputError
from nas.evaluate import Task, cached_data, climb
from nas.progress import Progress
from nas.recipe import FullRecipe
from nas.scores import standard_error
from nas.settings import Settings
from nas.shared import checkpoint
from nas.shared.layout import Layout
from nas.shared.memory import check_memory
from nas.shared.paths import Paths
from nas.shared.prepare import Job, prepare
from nas.shared.scoring import folded, part_of
from nas.shared.survey import layout_of
from nas.shared.training import SharedRecipe, shared_recipe
from nas.space import Space
from nas.space_file import load_space, parse_space

DATA = cached_data("digits", None)
HOW = SharedRecipe(replace(RECIPE, epochs=3, batch=20), resolution=64)
TINY = load_space("tiny").bind(resolution=64, classes=10)


class Told(Progress):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def any_cost(candidate) -> float:
    return 0.0


def job(folder: Path, how: SharedRecipe = HOW, space: Space = TINY, **changes) -> Job:
    task = Task("digits", None, DATA.id, how.recipe, resolution=64)
    fields = {"seconds": None, "seed": 0, "folder": folder} | changes
    return Job(space, Paths(space, any_cost), task, how, **fields)


def train(job: Job, said: list[str] | None = None) -> checkpoint.Checkpoint:
    return prepare(job, [].append if said is None else said.append, lambda *_: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> checkpoint.Checkpoint:
    """A shared network of `tiny`, to be read only."""
    return train(job(tmp_path_factory.mktemp("trained") / "shared"))


# Paths --------------------------------------------------------------------------------------------


def test_every_value_comes_up_equally_often():
    drawn = itertools.islice(Paths(TINY, any_cost).draw(random.Random(0)), 24)
    families = Counter(type(arch.stages[0].block).__name__ for arch in drawn)
    assert set(families.values()) == {6}


def test_paths_are_within_the_budget_and_of_all_families():
    def excess(candidate):
        return candidate.cost.macs / 2e6 - 1

    drawn = list(itertools.islice(Paths(TINY, excess).draw(random.Random(0)), 40))
    assert max(cost(arch).macs for arch in drawn) <= 2e6
    families = Counter(type(stage.block).__name__ for arch in drawn for stage in arch.stages)
    assert len(families) == 4 and min(families.values()) >= 20


def test_the_largest_and_the_smallest():
    paths = Paths(TINY, any_cost)
    sample = [TINY.candidate(TINY.sample(random.Random(n))).cost.macs for n in range(50)]
    assert cost(paths.smallest).macs <= min(sample)
    assert cost(paths.largest).macs >= max(sample)


# Training -----------------------------------------------------------------------------------------


def test_a_network_is_trained_and_reports_the_steps_of_its_weights(trained):
    facts = json.loads((Path(trained.path) / "shared.json").read_text())
    assert len(facts["curve"]) == facts["epochs"] == 3 and facts["seconds"] > 0
    assert facts["steps"]["conv"] == {"fewest": 15, "median": 15, "most": 15}
    assert 0 < facts["steps"]["ghost"]["median"] < 15
    assert not (Path(trained.path) / "state.safetensors").exists()


def test_a_seed_decides_all_weights(trained, tmp_path):
    assert train(job(tmp_path / "again")).id == trained.id
    assert train(job(tmp_path / "other", seed=1)).id != trained.id


def test_a_training_goes_on_to_the_bit(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("nas.shared.prepare.KEEP", -1.0)

    def stop(done, *_):
        if done == 3:  # the state of the second epoch is on the disk
            raise KeyboardInterrupt

    here, said = job(tmp_path / "cut"), []
    with pytest.raises(KeyboardInterrupt):
        prepare(here, said.append, stop)
    assert (here.folder / "state.safetensors").exists()
    assert checkpoint.find(here.folder) is None
    assert train(here).id == trained.id
    assert train(here, again := []).id == trained.id and again == []


@pytest.mark.parametrize(
    "how",
    [replace(HOW, paths=2), replace(HOW, paths=3, sandwich=True)],
    ids=["several", "sandwich"],
)
def test_several_paths_a_step(how, tmp_path):
    facts_of = job(tmp_path / "x", how)
    train(facts_of)
    facts = json.loads((facts_of.folder / "shared.json").read_text())
    assert facts["steps"]["conv"]["most"] == 15 * how.paths
    assert all(0 < loss < 10 for loss in facts["curve"])


def test_a_training_that_diverges_begins_again_once(tmp_path):
    wild = replace(HOW, recipe=replace(HOW.recipe, learning_rate=1e30))
    with pytest.raises(
        InputError, match=r"diverged with learning rate 3e\+29 too: the loss became"
    ):
        train(job(tmp_path / "x", wild), said := [])
    assert "begins again with learning rate 3e+29" in said[-1]


def test_seconds_become_epochs(tmp_path):
    here = job(tmp_path / "x", replace(HOW, recipe=replace(HOW.recipe, epochs=500)), seconds=0.01)
    train(here)
    assert json.loads((here.folder / "shared.json").read_text())["epochs"] == 1


def test_a_space_beyond_the_memory_is_refused():
    layout = layout_of([TINY.architecture(TINY.sample(random.Random(0)))])
    assert "M parameters, training takes" in check_memory(TINY, layout, HOW)
    huge = Layout({}, {}, {}, {"x": {"bias": (10**13,)}}, {})
    with pytest.raises(InputError, match=r"takes 120000\.0 GB .* GB of memory are free: expected"):
        check_memory(TINY, huge, HOW)


def test_the_recipe_of_brief_trainings_as_that_of_a_shared_network():
    found = shared_recipe(nas.recipe.Recipe(proxy_resolution=16, batch=20))
    assert (found.proxy_resolution, found.batch, found.learning_rate) == (16, 20, 0.1)


# Checkpoints and scores ---------------------------------------------------------------------------


def test_a_checkpoint_of_another_space_is_refused(trained):
    other = load_space("mobilenet_v2").bind(resolution=64, classes=10)
    with pytest.raises(InputError, match="it is of another space, or of another version"):
        train(job(Path(trained.path), space=other))


def test_a_checkpoint_of_another_format_is_refused(tmp_path):
    (tmp_path / "shared.json").write_text('{"format": 2}')
    with pytest.raises(InputError, match="expected format 1, got 2"):
        train(job(tmp_path))


def test_weights_that_were_changed_are_refused(trained):
    changed = replace(trained, id="012345")
    with pytest.raises(
        InputError, match=rf"weights.safetensors: expected .* 012345, got {trained.id}: it is dam"
    ):
        checkpoint.load(changed)
    with pytest.raises(InputError, match=r"from the driver: expected the shared network 012345"):
        checkpoint.give(changed, checkpoint.pack(trained))


def test_a_worker_that_was_given_weights_looks_into_no_folder(trained, monkeypatch):
    monkeypatch.setattr(checkpoint, "GIVEN", {})
    here, elsewhere = scored(trained), replace(trained, path="/nowhere")
    with pytest.raises(InputError, match=r"/nowhere/shared.json: No such file"):
        checkpoint.load(elsewhere)
    checkpoint.give(trained, checkpoint.pack(trained))
    assert replace(scored(elsewhere), seconds=here.seconds) == here


def test_weights_do_not_travel_with_a_trial(trained):
    task = replace(job(Path()).task, shared=trained)
    arch = TINY.architecture(TINY.sample(random.Random(0)))
    sent = pickle.dumps(executors.Job(0, arch, task, 0, 1))
    assert len(sent) < 4_000 < (Path(trained.path) / "weights.safetensors").stat().st_size


def scored(trained, number: int = 0) -> nas.records.Result:
    task = replace(job(Path()).task, shared=trained)
    arch = TINY.architecture(TINY.sample(random.Random(number)))
    return climb(arch, task, seed=0, epochs=1).result


def test_scores_are_equal_to_the_bit_in_another_process(trained):
    here = scored(trained)
    code = (
        "import sys, test_shared_training as t; from nas.shared.checkpoint import Checkpoint;"
        "r = t.scored(Checkpoint(*sys.argv[1:])); print(r.accuracy, r.cross_entropy)"
    )
    command = [sys.executable, "-c", code, trained.path, trained.id]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [str(here.accuracy), str(here.cross_entropy)]


def test_a_score_is_that_of_the_validation_part(trained):
    result = scored(trained)
    assert result.validation_size == 359 and result.curve == result.rungs == ()
    assert 0 < result.accuracy < 1 and result.cross_entropy > 0
    assert 0 < result.score_error != standard_error(result.score, 359)
    assert scored(trained, 1).cross_entropy != result.cross_entropy


def test_a_task_knows_its_shared_network(trained):
    task = job(Path()).task
    assert replace(task, shared=trained).id != task.id


# Searches -----------------------------------------------------------------------------------------


def test_a_search_by_a_shared_network(quick, tmp_path):
    run = quick(tmp_path / "run", proxy="shared", proxy_time=0.5, trials=3)
    assert len(run.records) == 3 and {t.state for t in run.records} == {"complete"}
    assert (run.path / "shared" / "weights.safetensors").exists()
    results = [trial.result for trial in run.records]
    assert all(r.score == math.exp(-r.cross_entropy) != r.accuracy for r in results)
    again = nas.resume(run.path, trials=4)
    assert len(again.records) == 4 and again.info["task"]["id"] == run.info["task"]["id"]


def test_torch_modules_have_weights_of_their_own_which_is_said_once(
    cli, faulty, quick_flags, tmp_path
):
    words = [*quick_flags, "--space", faulty["space"], "--blocks", "faulty_block", "--workers", 1]
    words += ["--proxy", "shared", "--proxy-time", "1s", "--trials", 2, "--out", tmp_path / "run"]
    done = cli("search", *words, "--json")
    assert json.loads(done.out)["states"] == {"complete": 2}, done.err
    _, after = " ".join(done.err.split()).split("note: Mix in faulty cannot be cut to a width")
    assert "it is trained for " in after


def test_a_full_training_begins_with_its_part_of_a_shared_network(quick, tmp_path):
    run = quick(tmp_path / "run", proxy="shared", proxy_time=0.5, trials=1)
    part, arch = part_of(run.path, run.architecture(0)), run.architecture(0)
    whole = nas.build(arch).state_dict()
    assert {k: t.shape for k, t in part.items()} == {k: t.shape for k, t in whole.items()}
    recipe = FullRecipe(epochs=1, batch=64, learning_rate=1e-9, mixed=0)
    trained = nas.train(
        f"{run.path}:0", init=run.path, resolution=32, recipe=recipe, out=tmp_path / "net"
    )
    weights, key = trained.module().state_dict(), "stem.conv.conv.weight"
    assert torch.allclose(weights[key], part[key], atol=1e-5)
    with pytest.raises(InputError, match="no trained shared network; expected a run by --proxy"):
        part_of(tmp_path, arch)
    with pytest.raises(InputError, match="not a part of its shared network"):
        part_of(run.path, load_space("mobile").minimise(lambda c: c.cost.macs).arch)


def test_a_search_killed_while_it_trains_goes_on(spawn, quick_flags, tmp_path):
    words = [*quick_flags, "--trials", 1, "--out", tmp_path / "run", "--proxy", "shared"]
    process = spawn("search", *words, "--proxy-time", "2s")
    wait_for((tmp_path / "run" / "shared" / "shared.json").exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = nas.resume(tmp_path / "run")
    assert [trial.state for trial in run.records] == ["complete"]


@pytest.fixture(scope="module")
def searched(quick, tmp_path_factory) -> Path:
    """A run by a shared network, to be copied."""
    out = tmp_path_factory.mktemp("searched") / "run"
    return quick(out, proxy="shared", proxy_time=0.1, trials=1).path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def of_another_version(shared: Path) -> None:
    facts = json.loads((shared / "shared.json").read_text())
    (shared / "shared.json").write_text(json.dumps(facts | {"format": 0}))


def of_another_run(shared: Path) -> None:
    shutil.rmtree(shared)
    train(job(shared, seed=1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "shared: expected the shared network ID, of which .* parts, got none; put"),
        (of_another_run, "shared: expected the shared network ID, of which .* parts, got HEX; put"),
        (of_another_version, "shared/shared.json: expected format 1, got 0: it was written by"),
        (lambda shared: cut(shared / "shared.json"), "shared/shared.json: not JSON"),
        (
            lambda shared: cut(shared / "weights.safetensors"),
            "shared/weights.safetensors: expected the shared network ID, got HEX: it is damaged or",
        ),
    ],
    ids=["missing", "another run", "another version", "facts cut", "weights cut"],
)
def test_a_run_whose_shared_network_is_not_its_own(damage, message, searched, cli, tmp_path):
    run = Path(shutil.copytree(searched, tmp_path / "run"))
    damage(run / "shared")
    done = cli("search", "--resume", run, "--trials", 2, "--quiet")
    own = json.loads((searched / "run.json").read_text())["task"]["shared"]
    expected = message.replace("ID", own).replace("HEX", "[0-9a-f]{12}")
    assert done.code == 2 and re.match(rf"nas: {run}/{expected}", done.err)
    assert done.err.count("\n") == 1


def test_a_state_that_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.shared.prepare.KEEP", -1.0)
    here = job(tmp_path / "shared")

    def stop(done, *_):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(here, [].append, stop)
    for other, message in (
        (replace(here, seed=1), r"shared.json: seed: expected 1, got 0: it is of another run"),
        (here, r"state.safetensors: expected the whole state of this training, got one that was"),
    ):
        cut(here.folder / "state.safetensors")
        with pytest.raises(InputError, match=message):
            train(other)
    (here.folder / "state.safetensors").unlink()
    train(here)


def test_a_search_that_diverges_says_so_each_time(cli, tmp_path):
    (tmp_path / "wild.yaml").write_text(RECIPE_YAML.replace("}", ", learning_rate: 1e30}"))
    run, words = tmp_path / "run", ["--space", "tiny", "--objectives", "accuracy,macs"]
    words += ["--recipe", tmp_path / "wild.yaml", "--proxy", "shared", "--proxy-time", "1s"]
    for begun in ([*words, "--out", run], ["--resume", run]):
        done = cli("search", *begun, "--quiet")
        assert done.code == 2 and done.err.count("\n") == 1
        assert "the shared network diverged with learning rate 3e+29 too: the loss" in done.err
        assert "losses of the epochs before: none" in done.err


@pytest.mark.parametrize(
    ("space", "settings", "proxy"),
    [
        ("nas_bench_macro", {"trials": 60}, "shared"),
        ("nas_bench_macro", {"trials": 59}, "alone"),
        ("nas_bench_macro", {"trials": 60, "time": 599.0}, "alone"),
        ("nas_bench_macro", {"trials": 60, "rungs": (1,)}, "alone"),
        ("mobilenet_v3", {"trials": 60, "time": 600.0}, "shared"),
        ("mobile", {"trials": 500}, "alone"),
    ],
    ids=["long", "few trials", "little time", "rungs", "one family", "mixed"],
)
def test_which_proxy_is_the_default(space, settings, proxy):
    assert Settings(space=space, **settings).settled(load_space(space)).proxy == proxy
    asked = Settings(space=space, proxy="alone").settled(load_space(space))
    assert (asked.proxy, asked.auto) == ("alone", False)


def test_a_space_without_choices_is_no_search_to_share_for():
    data = {"stem": {"block": "conv", "width": 8}, "head": {"head": "classifier"}}
    data["stages"] = [{"block": "conv", "width": 8}]
    fixed = parse_space(data, "fixed", name="fixed", text="")
    assert Settings(trials=60).settled(fixed).proxy == "alone"
    assert next(Paths(fixed, any_cost).draw(random.Random(0))).stages[0].width == 8


def uneven(module: torch.nn.Module) -> torch.nn.Module:
    """With statistics of batch norm that change what it computes."""
    torch.manual_seed(0)
    for norm in (m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.uniform_()
        norm.running_var.uniform_(0.5, 2)
    return module.eval()


def test_folding_keeps_what_a_network_computes():
    module, x = uneven(nas.build(SMALL, seed=0)), torch.rand(2, 3, 16, 16)
    expected = module(x)
    assert torch.allclose(folded(module)(x), expected, atol=1e-5)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in module.modules())


def test_a_persons_own_module_is_not_folded():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.norm(x))

    module, x = uneven(Own()), torch.rand(2, 3, 16, 16)
    expected = module(x)
    assert torch.equal(folded(module)(x), expected)


@pytest.fixture
def unlearned(monkeypatch):
    """A search of any length shares weights by default, and its network learns nothing."""
    monkeypatch.setattr("nas.shared.prepare.SECONDS", 0.3)
    monkeypatch.setattr("nas.shared.prepare.LEARNED", 0.0)
    monkeypatch.setattr("nas.settings.LONG", (1, 0.0))
    monkeypatch.setattr(Space, "mixed", False)


def test_what_learned_nothing_is_not_the_default(quick, tmp_path, unlearned):
    said = Told()
    run = quick(tmp_path / "run", trials=2, progress=said)
    check_alone(run)
    place = next(n for n, text in enumerate(said.lines) if "has learned little" in text)
    assert said.lines[place + 1].endswith("is trained alone, and nothing of the network is kept")
    with pytest.raises(InputError, match="no trained shared network"):
        part_of(run.path, run.architecture(0))
    again = nas.resume(run.path, trials=3, progress=(later := Told()))
    assert len(again.records) == 3 and not any("network" in text for text in later.lines)
    shared = quick(tmp_path / "shared", trials=1, proxy="shared", proxy_time=0.3)
    assert shared.info["settings"]["proxy"] == "shared" and not shared.records[0].result.rungs
    assert shared.info["task"]["shared"] and (shared.path / "shared").exists()


def check_alone(run: nas.Run) -> None:
    """Its trials were trained alone, and nothing says otherwise."""
    assert (run.info["settings"]["proxy"], run.info["settings"]["auto"]) == ("alone", True)
    assert (run.proxy, run.info["task"]["shared"]) == ("alone", None)
    assert run.records[0].result.rungs and not (run.path / "shared").exists()


def test_a_search_killed_while_it_gives_up_its_network(quick, tmp_path, unlearned, monkeypatch):
    def killed(folder, **_):
        (folder / "weights.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            quick(tmp_path / "run", trials=1)
    assert nas.load(tmp_path / "run").info["settings"]["proxy"] == "shared"
    check_alone(nas.resume(tmp_path / "run"))


def test_a_shared_training_and_confirmations_are_within_the_time(quick, tmp_path, monkeypatch):
    """Of a clock by which an epoch takes 1000 seconds and a trial 10."""
    seconds = [0.0]

    class Passes(Progress):
        def shared_epoch(self, done, epochs, loss):
            assert epochs == 1
            seconds[0] += 1000

        def trial(self, trial, trials):
            seconds[0] += 10

    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    settings = {"trials": 50, "proxy": "shared", "proxy_time": 0.01, "progress": Passes()}
    run = quick(tmp_path / "run", time=1035.0, confirm=None, **settings)
    assert len(run.records) == 3  # begun at 1000, 1010, 1020, where 35 / 1.25 are for trials
    assert run.info["settings"]["time"] == 1035
    assert len(quick(tmp_path / "late", time=500.0, **settings).records) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proxy": "share"}, "--proxy: unknown 'share'; did you mean shared"),
        ({"proxy": "shared", "proxy_time": 0}, "--proxy-time: expected more than no time"),
        ({"proxy_time": 5.0}, "--proxy-time: expected with --proxy shared"),
        ({"proxy": "shared", "baselines": ("mobilenet_v2_x1_0",)}, "--baselines: expected with"),
        ({"proxy": "shared", "prior": ("x",)}, "--from: expected with --proxy alone"),
    ],
    ids=["unknown", "no time", "alone", "baselines", "prior"],
)
def test_settings_that_do_not_go_together(quick, tmp_path, settings, message):
    with pytest.raises(InputError) as error:
        quick(tmp_path / "run", **settings)
    assert str(error.value).startswith(message)
