"""The command line: what each verb prints, and how it refuses what is wrong."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import RECIPE
from PIL import Image

import nas
from nas import driver
from nas.blocks import BLOCKS
from nas.cli import main
from nas.cli.search import parse_time
from nas.records import read_lines
from nas.reference import published
from nas.show import print_latencies

VERBS = ("search", "profile", "show", "spaces", "front", "trust", "train", "export")
COUNTS = ["name", "resolution", "params", "macs", "activations", "memory_bytes"]
ARCH = """
input: [3, 64, 64]
stem: {block: conv, width: 8, stride: 2}
stages: [{block: ghost, depth: 1, width: 16, stride: 2}]
head: {head: classifier}
classes: 10
"""
EITHER = """
stem: {block: conv, width: 8, stride: 2}
stages: [{block: {choice: [conv, inverted_residual]}, stride: 2, width: 16, expansion: 3}]
head: {head: classifier}
"""  # conv has fewer MACs, inverted_residual fewer parameters


# Help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_a_screen(verb, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    found = cli(verb, "--help")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(f"usage: nas {verb} ")
    lines = found.out.splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 100


def test_help_names_every_verb(cli):
    found = cli("--help")
    assert all(verb in found.out for verb in VERBS)


def test_nas_search_is_nas_search(capsys, monkeypatch):
    from nas.cli import search_main

    monkeypatch.setattr(sys, "argv", ["nas-search", "--help"])
    with pytest.raises(SystemExit):
        search_main()
    assert capsys.readouterr().out.startswith("usage: nas search")


# nas search --------------------------------------------------------------------------------------


def test_search_prints_its_front_and_what_comes_next(cli, quick_flags, tmp_path):
    found = cli("search", *quick_flags, "--trials", 2, "--seed", 5, "--out", tmp_path / "run")
    assert found.code == 0
    run = nas.load(tmp_path / "run")
    *_, files, after = found.out.splitlines()
    assert files.startswith(f"Files: {run.path}/front.csv")
    assert cli(*shlex.split(after.removeprefix("Next: nas "))).code == 0
    assert "trial   0" in found.err and "trial   1" in found.err
    assert run.info["settings"]["seed"] == 5


@pytest.mark.parametrize("quiet", [True, False])
def test_search_json_is_one_document_and_nothing_else(quiet, cli, quick_flags, tmp_path):
    flags = [*quick_flags, "--trials", 2, "--json", *["--quiet"] * quiet]
    found = cli("search", *flags, "--out", tmp_path / "run")
    assert found.code == 0 and (found.err == "") is quiet
    document = json.loads(found.out)
    run = nas.load(tmp_path / "run")
    assert document["run"] == str(run.path)
    assert (document["trials"], document["states"]) == (2, {"complete": 2})
    assert document["hypervolume"] == run.hypervolume
    assert [row["number"] for row in document["front"]] == list(run.front["number"])
    architecture = nas.Architecture.from_dict(document["front"][0]["architecture"])
    assert architecture.id == document["front"][0]["id"]


def test_flags_win_over_the_recipe_file(cli, quick_flags, tmp_path):
    flags = [*quick_flags, "--epochs", 2, "--proxy-resolution", 8, "--trials", 1, "--quiet"]
    assert cli("search", *flags, "--out", tmp_path / "run").code == 0
    recipe = nas.load(tmp_path / "run").info["settings"]["recipe"]
    assert (recipe["epochs"], recipe["proxy_resolution"]) == (2, 8)
    assert (recipe["batch"], recipe["subset"]) == (RECIPE.batch, RECIPE.subset)


def test_a_run_without_a_finished_trial_says_how_to_go_on(cli, quick_flags, tmp_path, capsys):
    (tmp_path / "wild.yaml").write_text("{epochs: 1, subset: 400, learning_rate: 1.0e20}")
    flags = ["--space", "tiny", "--objectives", "accuracy,macs", "--trials", 1, "--quiet"]
    found = cli("search", *flags, "--recipe", tmp_path / "wild.yaml", "--out", tmp_path / "run")
    assert found.code == 0
    assert found.out == f"No trial has finished; go on with: nas search --resume {tmp_path}/run\n"
    refused = cli("front", tmp_path / "run")
    assert refused.code == 2 and "no finished trial" in refused.err


def test_baselines_are_in_the_files_and_no_trials(cli, quick_flags, tmp_path):
    names = "mobilenet_v2_x0_25,inception_v3"
    flags = [*quick_flags, "--trials", 1, "--baselines", names, "--quiet", "--json"]
    document = json.loads(cli("search", *flags, "--out", tmp_path / "run").out)
    assert document["trials"] == 1
    assert list(nas.load(tmp_path / "run").baselines["name"]) == names.split(",")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), (" 1m1s ", 61)]
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


# Bad input ---------------------------------------------------------------------------------------


def refusal(found) -> str:
    """The one sentence of a command that was refused."""
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("nas") and found.err.count("\n") == 1
    assert "Traceback" not in found.err
    return found.err


SEARCHES = {
    "--space nowhere": ["space 'nowhere': no such space"],
    "--space missing.yaml": ["missing.yaml: No such file"],
    "--space folder.yaml": ["folder.yaml: Is a directory"],
    "--space binary.yaml": ["binary.yaml: not a text file"],
    "--space broken.yaml": ["broken.yaml: line 1"],
    "--space block.yaml": ["block.yaml: stages.0.block", "'gost'", "did you mean ghost?"],
    "--space parameter.yaml": ["parameter.yaml: stages.0.kernl", "did you mean kernel?"],
    "--space choice.yaml": ["choice.yaml: stages.0.kernel", "'three'"],
    "--space key.yaml": ["key.yaml: unknown key 'stage'", "did you mean stages"],
    "--budget 300": ["budget '300'", "300M-flops"],
    "--budget much": ["budget 'much'"],
    "--budget 300M-flips": ["unknown metric 'flips'"],
    "--budget 20-latency": ["is not a unit of latency", "ms"],
    "--budget 20M-latency": ["is not a unit of latency"],
    "--budget 5ms-flops": ["is not a unit of flops"],
    "--backend tpu": ["unknown 'tpu'", "onnxruntime"],
    "--threads 0": ["expected 1 or more, got 0"],
    "--budget 0M-flops": ["above zero"],
    "--budget 1e400M-flops": ["above zero"],
    "--budget 9M-flops --budget 8M-flops": ["macs has a limit already"],
    "--budget 1k-flops": ["1 k macs", "the smallest macs found is 4.019 M"],
    "--budget 1k-params --budget 9M-flops": ["1 k params", "found is 3.09 k"],
    "--budget 1kB-memory": ["1 kB memory", "the smallest memory found is 1.004 MB"],
    "--space either.yaml --budget 6.5M-flops --budget 1400-params": [
        "budget 6.5 M macs, 1.4 k params: space either can meet each limit but not all at once",
        "the nearest architecture found has ",
    ],
    "--data empty": ["empty"],
    "--data one": ["one", "class"],
    "--data nowhere/at/all": ["--data 'nowhere/at/all': no such file or folder"],
    "--data digit": ["--data 'digit'", "did you mean digits?"],
    "--data missing.npz": ["missing.npz"],
    "--data cifar10 --data-dir nowhere": ["nowhere"],
    "--objectives accuracy": ["--objectives: expected accuracy and one or more of"],
    "--objectives accuracy,speed": ["--objectives: unknown 'speed'"],
    "--objectives macs,params": ["--objectives: expected accuracy"],
    "--objectives accuracy,macs,macs": ["each once"],
    "--objectives accuracy,flops,macs": ["each once"],
    "--sampler nsga3": ["--sampler 'nsga3'", "did you mean nsga2?"],
    "--device gpu": ["--device 'gpu': expected cpu or cuda"],
    "--time soon": ["--time 'soon': expected a time as 90s, 30m or 1h30m"],
    "--time 1h30": ["--time '1h30'"],
    "--time 0s": ["--time"],
    "--trials 0": ["--trials: expected 1 or more, got 0"],
    "--trials many": ["--trials", "invalid int value: 'many'"],
    "--resolution 0": ["--resolution: expected 1 or more, got 0"],
    "--baselines resnet": ["unknown network 'resnet'"],
    "--recipe missing.yaml": ["missing.yaml: No such file"],
    "--recipe list.yaml": ["list.yaml: recipe: expected a mapping"],
    "--recipe recipe.yaml": ["recipe.yaml: recipe: unknown key 'epoch'; did you mean epochs?"],
    "--epochs 0": ["recipe: epochs: expected a number above zero, got 0"],
    "--proxy-resolution -4": ["recipe: proxy_resolution: expected a number above zero"],
    "--blocks nowhere_to_be_found": ["--blocks nowhere_to_be_found: cannot be imported"],
    "--blocks raises": ["--blocks raises: cannot be imported: RuntimeError: on import"],
    "--out taken": ["taken: exists; go on with --resume taken"],
    "--out taken/run.json": ["taken/run.json: exists"],
    "--resume nowhere": ["nowhere/run.json: No such file", "is nowhere a run?"],
    "--resume empty": ["empty/run.json: No such file"],
    "--resume taken": ["taken/run.json: expected format 1, got None"],
    "--resume taken --seed 1": ["--seed: a run that goes on keeps its settings"],
    "--resume taken --seed 0": ["--seed: a run that goes on keeps its settings"],
    "--resume taken --budget 9M-flops": ["--budget: a run that goes on"],
    "--resume taken --data-dir x": ["--data-dir: a run that goes on"],
    "--resume taken --time soon": ["--time 'soon'"],
    "--workers 2 --ray local": ["--workers: expected without --ray"],
    "--workers 2 --trial-timeout soon": ["--trial-timeout 'soon': expected a time as 90s"],
    "--nonsense": ["unknown option or argument '--nonsense'", "see nas search --help"],
}


@pytest.fixture
def wrong_files(cli) -> Path:
    """The working folder, with all that the commands above name."""
    here = Path.cwd()
    stages = "stem: {block: conv, width: 8}\nhead: {head: classifier}\nstages: "
    spaces = {
        "broken": "stem: {block: conv",
        "block": stages + "[{block: gost, width: 8}]",
        "parameter": stages + "[{block: conv, width: 8, kernl: 3}]",
        "choice": stages + "[{block: conv, width: 8, kernel: {choice: [3, three]}}]",
        "key": stages.replace("stages", "stage") + "[]",
        "either": EITHER,
        "list": "[1, 2]",
        "recipe": "epoch: 3",
    }
    for name, text in spaces.items():
        (here / f"{name}.yaml").write_text(text)
    (here / "strided.yaml").write_text(published("squeezenet1_1").architecture().to_yaml())
    (here / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (here / "raises.py").write_text("raise RuntimeError('on import')")
    for folder in ("folder.yaml", "empty", "one/cats", "taken"):
        (here / folder).mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(here / "one" / "cats" / f"{name}.png")
    (here / "taken" / "run.json").write_text("{}")
    return here


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("words", SEARCHES)
def test_a_search_that_cannot_be_is_refused_and_writes_nothing(words, cli, wrong_files):
    before = tree(wrong_files)
    flags = [] if "--resume" in words else ["--objectives", "accuracy,macs"]
    flags += [] if "--resume" in words or "--space" in words else ["--space", "tiny"]
    sentence = refusal(cli("search", *flags, *words.split()))
    for part in SEARCHES[words]:
        assert part in sentence
    assert tree(wrong_files) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(cli):
    sentence = refusal(cli("search", "--device", "cuda"))
    assert "--device cuda: torch sees no CUDA device here; use cpu" in sentence


def test_a_latency_budget_that_nothing_meets_is_refused(cli, tmp_path):
    flags = ["--space", "tiny", "--budget", "1us-latency", "--out", tmp_path / "run"]
    sentence = refusal(cli("search", *flags))
    assert "budget 0.001 ms latency: space tiny cannot meet it on this machine" in sentence
    assert "the smallest networks found take " in sentence
    assert not (tmp_path / "run").exists()


OTHERS = {
    "profile": "expected a network",
    "profile resnet": "unknown network 'resnet'",
    "profile missing.yaml": "missing.yaml: No such file",
    "profile block.yaml": "block.yaml",
    "profile nowhere:3": "nowhere/run.json: No such file",
    "profile mobilenet_v2 --resolution 0": "--resolution 0",
    "profile inception_v3 --resolution 16": "16 is too small",
    "profile strided.yaml --resolution 8": "8 is too small for its strides",
    "profile mobilenet_v2 --roofline nowhere/r.png": "'nowhere/r.png': there is no folder",
    "latency build --out nowhere/d.json": "'nowhere/d.json': there is no folder",
    "spaces nowhere": "space 'nowhere': no such space",
    "spaces tiny --budget 5": "budget '5'",
    "spaces tiny --resolution 0": "--resolution",
    "front nowhere": "nowhere/run.json: No such file",
    "front": "the following arguments are required",
    "nonsense": "invalid choice: 'nonsense'",
    "": "required",
}


@pytest.mark.parametrize("words", OTHERS)
def test_the_other_verbs_refuse_what_is_wrong(words, cli, wrong_files):
    before = tree(wrong_files)
    assert OTHERS[words] in refusal(cli(*words.split()))
    assert tree(wrong_files) == before


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--x", "speed"], "--x 'speed': no such metric"),
        (["--y", "speed"], "--y 'speed': no such metric"),
        (["--x", "latency"], "no finished trial with latency and accuracy"),
        (["--plot", "front.xls"], "expected a .png, .svg or .pdf file"),
        (["--plot", "nowhere/front.png"], "there is no folder"),
    ],
)
def test_front_refuses_what_it_cannot_show(flags, part, cli, finished):
    assert part in refusal(cli("front", finished.path, *flags))


def test_a_trial_that_is_not_there_is_refused(cli, finished):
    assert "no trial 99, it has 8" in refusal(cli("profile", f"{finished.path}:99"))


# nas profile, nas spaces, nas front --------------------------------------------------------------


@pytest.fixture
def named(tmp_path, finished) -> dict[str, str]:
    """One network of each kind that a person may name."""
    (tmp_path / "own.yaml").write_text(ARCH)
    return {
        "published": "mobilenet_v2_x1_0",
        "file": str(tmp_path / "own.yaml"),
        "trial": f"{finished.path}:3",
    }


@pytest.mark.parametrize("kind", ["published", "file", "trial"])
def test_profile_counts(kind, cli, named, finished):
    (row,) = json.loads(cli("profile", named[kind], "--json").out)
    assert list(row) == COUNTS
    assert row["name"] == named[kind]
    expected = {
        "published": (224, 300_774_272, 3_504_872),
        "file": (64, row["macs"], row["params"]),
        "trial": (224, *(finished.records[3].cost[name] for name in ("macs", "params"))),
    }
    assert (row["resolution"], row["macs"], row["params"]) == expected[kind]
    assert f"{row['macs']:,}" in cli("profile", named[kind]).out


def test_profile_layers_add_up(cli, named):
    (row,) = json.loads(cli("profile", named["file"], "--layers", "--json").out)
    assert list(row)[:6] == COUNTS
    for name in ("macs", "params"):
        assert sum(layer[name] for layer in row["layers"]) == row[name]
    assert "stages.0.0." in cli("profile", named["file"], "--layers").out


def test_profile_at_another_resolution(cli, named):
    small, large = (
        json.loads(cli("profile", named["file"], "--resolution", side, "--json").out)[0]
        for side in (32, 64)
    )
    assert (small["resolution"], small["params"]) == (32, large["params"])
    assert small["macs"] < large["macs"]


def test_profile_latency(cli, named, own_lock):
    (row,) = json.loads(cli("profile", named["file"], "--latency", "--json").out)
    assert list(row) == [*COUNTS, "latency_ms", "latency"] and row["latency_ms"] > 0
    found = row["latency"]["onnxruntime"]
    assert found["latency_ms"] == row["latency_ms"] and found["threads"] == 1
    assert found["low"] <= found["latency_ms"] <= found["high"]
    assert (found["backend"], found["source"]) == ("onnxruntime", "measured")


def test_profile_by_several_back_ends(cli, named, own_lock, capsys):
    names = ["openvino", "onnxruntime"]
    flags = ("--latency", "--backend", ",".join(names), "--threads", "2", "--json")
    rows = json.loads(cli("profile", named["file"], *flags).out)
    found = rows[0]["latency"]
    assert list(found) == names
    assert rows[0]["latency_ms"] == found["openvino"]["latency_ms"]
    assert {latency["threads"] for latency in found.values()} == {2}

    found["openvino"] |= {"latency_ms": 2.0, "low": 1.95, "high": 2.05, "noisy": False}
    found["onnxruntime"] |= {"latency_ms": 4.0, "low": 3.0, "high": 5.0, "noisy": True}
    print_latencies(rows)
    heading, titles, cells, why = capsys.readouterr().out.splitlines()
    assert heading.strip() == "Latency of one image, 2 threads"
    assert titles.split() == ["network", *names]
    assert re.search(r"2 ms ± 2\.5 % +4 ms ± 25\.0 % noisy", cells)
    assert why.startswith("noisy: ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--latency", "--backend", "tpu"], "backend: unknown 'tpu'; known are onnxruntime,"),
        (["--latency", "--threads", "0"], "threads: expected at least 1, got 0"),
        (["--backend", "torch"], "--backend, --threads: expected with --latency"),
    ],
    ids=["unknown", "no-threads", "not-timed"],
)
def test_profile_refuses_other_back_ends(cli, named, flags, words):
    outcome = cli("profile", named["file"], *flags)
    assert outcome.code == 2 and words in outcome.err and outcome.err.count("\n") == 1


def test_profile_lists_the_published_networks(cli):
    rows = json.loads(cli("profile", "--list", "--json").out)
    assert {"mobilenet_v2_x1_0", "ghostnet_x1_0", "googlenet"} <= {row["name"] for row in rows}
    assert "mobilenet_v2_x1_0" in cli("profile", "--list").out


def test_spaces_lists_them(cli):
    rows = json.loads(cli("spaces", "--json").out)
    names = [row["name"] for row in rows]
    assert names == sorted(names) and {"mobile", "tiny"} <= set(names)
    assert all(row["settings"] >= 1 and row["median"]["macs"] > 0 for row in rows)


def test_spaces_looks_into_one(cli, wrong_files):
    found = json.loads(cli("spaces", "tiny", "--budget", "20M-flops", "--json").out)
    assert found["parameters"]["stem.width"] == [8, 16]
    assert 0 < found["within_budget"] < 1
    costs = [found[name]["macs"] for name in ("smallest", "median", "largest")]
    assert costs == sorted(costs)
    for source in ("tiny", "either.yaml"):
        assert "stages.0.block" in cli("spaces", source).out


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_front_draws_runs(suffix, cli, finished, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(finished.path, second)
    path = tmp_path / f"front.{suffix}"
    found = cli("front", finished.path, second, "--x", "flops", "--plot", path)
    assert (found.code, found.err) == (0, "")
    assert str(finished.path) in found.out and str(second) in found.out
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[suffix])


def test_front_json(cli, finished):
    (found,) = json.loads(cli("front", finished.path, "--x", "params", "--json").out)
    assert found["run"] == str(finished.path)
    rows = found["front"]
    assert [row["params"] for row in rows] == sorted(row["params"] for row in rows)
    assert [row["accuracy"] for row in rows] == sorted(row["accuracy"] for row in rows)


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m nas.cli spaces mobile --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{", "")


# A block of one's own ----------------------------------------------------------------------------

MODULE = """
from dataclasses import dataclass

import nas


@nas.block
@dataclass(frozen=True)
class Plain:
    kernel: int = 3

    def __call__(self, x, width, stride):
        return x.conv(width, self.kernel, stride)


@nas.block
@dataclass(frozen=True)
class Moody(Plain):
    def __call__(self, x, width, stride):
        if width == 24:
            raise ArithmeticError("not 24")
        return Plain.__call__(self, x, width, stride)


@nas.block
@dataclass(frozen=True)
class Broken(Plain):
    def __call__(self, x, width, stride):
        raise ArithmeticError("never")
"""
OWN = """
stem: {{block: conv, width: 8, stride: 2}}
stages:
  - {{block: {block}, kernel: {{choice: [1, 3, 5]}}, width: {{choice: [16, 24]}}, stride: 2}}
head: {{head: classifier}}
"""


@pytest.fixture
def own(cli) -> Iterator[str]:
    """The name of a module with blocks, beside a space for each."""
    names = ("plain", "moody", "broken")
    for name in names:
        Path(f"{name}.yaml").write_text(OWN.format(block=name))
    Path("my_blocks.py").write_text(MODULE)
    yield "my_blocks"
    sys.modules.pop("my_blocks", None)
    for name in names:
        BLOCKS.pop(name, None)


def test_a_block_of_ones_own(cli, own, quick_flags, spawn):
    flags = [*quick_flags, "--space", "plain.yaml", "--blocks", own, "--quiet", "--trials", 2]
    process = spawn("search", *flags, "--out", "run", cwd=Path.cwd())
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "") and "plain" in out
    assert cli("search", "--resume", "run", "--trials", 3, "--quiet").code == 0  # it knows them
    run = nas.load("run")
    assert [trial.arch["stages"][0]["block"] for trial in run.records] == ["plain"] * 3
    (row,) = json.loads(cli("front", "run", "--blocks", own, "--json").out)
    assert row["front"]


def test_a_block_of_ones_own_keeps_the_rules(own, cli):
    testing = pytest.importorskip("nas.testing")
    main(["spaces", "plain.yaml", "--blocks", own])
    from my_blocks import Broken, Plain

    testing.check_block(Plain(kernel=5))
    with pytest.raises(testing.BlockError, match="ArithmeticError: never"):
        testing.check_block(Broken())


def test_a_block_that_always_raises_is_refused(own, cli, quick_flags):
    flags = [*quick_flags, "--space", "broken.yaml", "--blocks", own, "--out", "run"]
    assert "broken: none of 100 architectures" in (sentence := refusal(cli("search", *flags)))
    assert "ArithmeticError: never" in sentence
    assert not Path("run").exists()


def test_a_block_that_raises_at_times_is_passed_over(own, cli, quick_flags):
    flags = [*quick_flags, "--space", "moody.yaml", "--blocks", own, "--trials", 9, "--out", "run"]
    found = cli("search", *flags)
    assert found.code == 0
    assert "ArithmeticError: not 24" in found.err
    run = nas.load("run")
    assert {trial.params["stages.0.width"] for trial in run.records} == {16}
    assert len(run.records) == 3
    (line,) = read_lines(run.path / "rejected.jsonl")
    assert (line["error"], line["params"]["stages.0.width"]) == (
        "stages.0.0: ArithmeticError: not 24",
        24,
    )
    assert cli("spaces", "moody.yaml", "--blocks", own).code == 0


def test_a_front_of_blocks_that_are_not_imported_is_shown(own, cli, quick_flags):
    flags = [*quick_flags, "--space", "plain.yaml", "--blocks", own, "--trials", 1, "--quiet"]
    assert cli("search", *flags, "--out", "run").code == 0
    del BLOCKS["plain"]
    assert cli("front", "run").code == 0
    assert json.loads(cli("front", "run", "--json").out)[0]["front"]
    assert "unknown block 'plain'" in refusal(cli("profile", "run:0"))


def test_bugs_are_not_taken_for_bad_input(cli, quick_flags, monkeypatch):
    def search(**settings):
        raise ValueError("a bug")

    monkeypatch.setattr(driver, "search", search)
    with pytest.raises(ValueError, match="a bug"):
        cli("search", *quick_flags)


def test_numpy_is_not_needed_to_read_what_json_prints(cli, finished):
    document = json.loads(cli("front", finished.path, "--json").out)
    kinds = {type(v) for row in document[0]["front"] for v in row.values()}
    assert kinds <= {int, float, str, bool, dict} and not any(
        issubclass(k, np.generic) for k in kinds
    )
