"""`nas train`: it learns, goes on to the bit after a kill, looks at the test part once."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FULL, SMALL, wait_for

import nas
from nas.arch import Stage, trace
from nas.blocks import Classifier, ConvBlock, Embedding
from nas.data import resized
from nas.data.mix import cutmix, mixup
from nas.data.policy import OPERATIONS, vary
from nas.errors import InputError
from nas.evaluate import cached_data
from nas.net import build
from nas.recipe import FullRecipe
from nas.training import FullTraining, score, start
from nas.training.full import cosine
from nas.training.trained import Trained
from nas.training.weights import fit, read_weights, start_from

DATA = cached_data("digits", None)


def train(out: Path, **settings) -> Trained:
    return nas.train(SMALL, **{"data": "digits", "recipe": FULL, "out": out, **settings})


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


# The whole of it ---------------------------------------------------------------------------------


def test_its_files(trained):
    expected = {"train.json", "architecture.yaml", "metrics.csv", "curves.png"}
    assert files(trained.path) == expected | {"weights.safetensors", "result.json"}
    assert list(trained.metrics["epoch"]) == [1, 2, 3]
    assert trained.metrics.notna().all(axis=None) and len(trained.metrics.columns) == 8
    result = trained.result
    assert (result["test_size"], result["validation_size"]) == (359, 359)
    images = resized(DATA.test, 16)
    accuracy, loss, _ = score(trained.module(), images, DATA)
    assert (accuracy, loss) == (result["test_accuracy"], result["test_loss"])
    last = trained.metrics.iloc[-1]
    own = "average" if result["weights"] == "average" else "validation"
    assert last[f"{own}_accuracy"] == result["validation_accuracy"]
    assert result["validation_accuracy"] == max(last.validation_accuracy, last.average_accuracy)


def test_it_learns(tmp_path):
    recipe = replace(FULL, epochs=6, batch=32, learning_rate=0.2, mixed=0.0)
    arch = replace(SMALL, head=Classifier(), stages=(Stage(ConvBlock(), 2, 32, 2),))
    result = nas.train(arch, data="digits", recipe=recipe, out=tmp_path / "run").result
    assert result["test_accuracy"] > 0.8


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_it_goes_on_to_the_bit(optimiser, tmp_path):
    recipe = replace(FULL, optimiser=optimiser)
    expected = train(tmp_path / "whole", recipe=recipe, seed=3)

    def stop(line: str) -> None:
        if line.startswith("epoch   1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", recipe=recipe, seed=3, say=stop)
    cut = Trained(tmp_path / "cut")
    assert cut.result is None and len(cut.metrics) == 1
    assert_equal(start.resume(tmp_path / "cut"), expected)


def assert_equal(got: Trained, expected: Trained) -> None:
    assert got.weights.read_bytes() == expected.weights.read_bytes()
    assert {**got.result, "seconds": 0} == {**expected.result, "seconds": 0}
    columns = list(expected.metrics.columns[:-1])
    pd.testing.assert_frame_equal(got.metrics[columns], expected.metrics[columns])


@pytest.fixture
def command(tmp_path, trained) -> list[str]:
    """The same training as a command."""
    (tmp_path / "net.yaml").write_text(SMALL.to_yaml())
    (tmp_path / "recipe.yaml").write_text("{epochs: 3, batch: 128}")
    words = ["train", "net.yaml", "--data", "digits", "--recipe", "recipe.yaml", "--out", "run"]
    assert trained.settings.recipe.threads == 1
    return words


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_it_survives(sent, command, trained, spawn, cli, tmp_path):
    process = spawn(*command)
    wait_for((tmp_path / "run" / "metrics.csv").exists, process)
    process.send_signal(sent)
    _, err = process.communicate()
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith("go on with: nas train --resume run\n") and "Traceback" not in err
    found = cli("train", "--resume", tmp_path / "run", "--json")
    document = json.loads(found.out)
    assert found.code == 0 and document.pop("folder") == str(tmp_path / "run")
    got = Trained(tmp_path / "run")
    assert got.weights.read_bytes() == trained.weights.read_bytes()
    assert document == got.result


def test_a_finished_one_is_only_told(trained):
    before = trained.weights.stat().st_mtime_ns
    assert start.resume(trained.path).result == trained.result
    assert trained.weights.stat().st_mtime_ns == before


def test_a_trial_brings_its_data(finished, tmp_path):
    number = finished.front.iloc[0]["number"]
    recipe = replace(FULL, epochs=1)
    name = f"{finished.path}:{number}"
    found = nas.train(name, resolution=16, recipe=recipe, out=tmp_path / "run")
    assert (found.settings.data, found.settings.resolution) == ("digits", 16)
    assert found.network.architecture.stages == finished.front.iloc[0].architecture.stages


def test_an_architecture_at_another_size(tmp_path):
    recipe = replace(FULL, epochs=1)
    large = replace(SMALL, input=(3, 224, 224))
    found = nas.train(large, data="digits", resolution=16, recipe=recipe, out=tmp_path / "run")
    assert found.network.graph.input == found.network.architecture.input == (3, 16, 16)
    assert found.settings.network == large.id and found.result["resolution"] == 16


def test_it_prints_what_comes_next(trained, cli):
    found = cli("train", "--resume", trained.path)
    lines = found.out.splitlines()
    assert lines[0].startswith(f"Test accuracy {trained.result['test_accuracy']:.2%} ± ")
    words = lines[-1].removeprefix("Next: nas ").split()
    assert cli(*words, "--no-latency").code == 0
    assert Path(words[-1]).exists()


# Weights to begin with ---------------------------------------------------------------------------


def test_weights_to_begin_with(trained, tmp_path):
    graph = trace(SMALL)
    module = build(graph, seed=5)
    assert start_from(module, graph, read_weights(trained.weights), "w") == []
    own = trained.module().state_dict()
    assert all(torch.equal(value, own[name]) for name, value in module.state_dict().items())
    recipe = replace(FULL, epochs=1, learning_rate=1e-9)
    again = train(tmp_path / "run", init=trained.weights, recipe=recipe)
    assert again.result["test_accuracy"] == pytest.approx(trained.result["test_accuracy"], abs=0.15)


def test_a_classifier_of_other_classes_starts_afresh(trained):
    graph = trace(replace(SMALL, classes=4))
    module = build(graph, seed=5)
    fresh = start_from(module, graph, read_weights(trained.weights), "w")
    assert set(fresh) == {"head.classifier.linear.weight", "head.classifier.linear.bias"}
    own = trained.module().state_dict()["stem.conv.conv.weight"]
    assert torch.equal(module.state_dict()["stem.conv.conv.weight"], own)


def test_weights_that_do_not_fit(trained, tmp_path):
    weights, graph = read_weights(trained.weights), trace(SMALL)
    other = weights | {"stem.conv.conv.weight": torch.zeros(16, 3, 3, 3)}
    with pytest.raises(InputError, match=r"w: stem\.conv\.conv\.weight: expected the shape \(8, 3"):
        start_from(build(graph), graph, other, "w")
    module = build(trace(SMALL), seed=0)
    with pytest.raises(InputError, match=r"w: extra: the network has no such weight"):
        fit(module, weights | {"extra": torch.zeros(1)}, "w")
    missing = {k: v for k, v in weights.items() if k != "stem.conv.conv.weight"}
    with pytest.raises(InputError, match=r"w: stem\.conv\.conv\.weight: missing"):
        fit(module, missing, "w")
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"w\.safetensors: expected a \.safetensors file"):
        read_weights(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"none\.safetensors: No such file"):
        read_weights(tmp_path / "none.safetensors")


# Bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train", "expected a network"),
        ("train mobilenet_v2_x0_35", "--data: mobilenet_v2_x0_35 is of no run"),
        ("train mobilenet_v9 --data digits", "unknown network 'mobilenet_v9'"),
        ("train net.yaml --data digits", "classes: digits has 10, the network's output has"),
        ("train embedding.yaml --data digits", "classes: digits has 10, the network's output has"),
        ("train grey.yaml --data digits", "input: expected 3 channels and a square"),
        ("train net.yaml --data photos", "photos: no test part"),
        ("train --resume nowhere", "nowhere: no train.json"),
        ("train --resume x --epochs 3", "--epochs: a training that goes on keeps its settings"),
        ("train net.yaml --resume x", "ARCH: a training that goes on keeps its settings"),
        ("train net.yaml --data digits --epochs 0", "recipe: epochs: expected a number above zero"),
        ("train net.yaml --data digits --recipe bad.yaml", "bad.yaml: recipe: unknown key 'mixip'"),
        ("train net.yaml --data digits --device tpu", "--device 'tpu': expected cpu or cuda"),
        ("train net.yaml --data digits --resolution 0", "--resolution 0: expected a number"),
    ],
)
def test_bad_input(words, message, cli):
    plain = SMALL.to_yaml()
    Path("net.yaml").write_text(plain.replace("classes: 10", "classes: 2"))
    Path("embedding.yaml").write_text(replace(SMALL, head=Embedding(width=32)).to_yaml())
    Path("grey.yaml").write_text(replace(SMALL, input=(1, 16, 16)).to_yaml())
    Path("bad.yaml").write_text("mixip: 0.3")
    if "photos" in words:
        photos(Path("photos"))
    found = cli(*words.split())
    assert (found.code, found.out) == (2, "")
    assert message in found.err and found.err.count("\n") == 1


def photos(root: Path) -> None:
    """Two classes with a validation part and no test part."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for name in "ab":
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(256, size=(16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")


def test_a_training_that_diverges_says_so(cli):
    Path("net.yaml").write_text(SMALL.to_yaml())
    Path("wild.yaml").write_text("{learning_rate: 1.0e30, batch: 128, epochs: 1}")
    found = cli("train", "net.yaml", "--data", "digits", "--recipe", "wild.yaml", "--quiet")
    assert found.code == 2 and "try a lower learning_rate" in found.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimiser": "adam"}, "recipe.optimiser: expected 'sgd' or 'adamw', got 'adam'"),
        ({"warm_up": 1.0}, "recipe: warm_up: expected 0 up to 1, got 1.0"),
        ({"average": 0.0}, "recipe: average: expected a number above zero, got 0.0"),
        ({"mixed": 1.5}, "recipe: mixed: expected 0 to 1, got 1.5"),
        ({"mixup": -1.0}, "recipe: mixup: expected 0 or more, got -1.0"),
        ({"batch": 1}, "recipe: batch: batch norm needs 2 images or more, got 1"),
        ({"threads": 0}, "recipe: threads: expected a number above zero, got 0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(settings, message):
    with pytest.raises(InputError) as error:
        FullRecipe.from_dict(settings)
    assert str(error.value) == message


# The pieces --------------------------------------------------------------------------------------


def test_the_learning_rate_rises_and_falls():
    rates = [cosine(step, 100, 10) for step in range(101)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert max(rates) == rates[10] == 1 and rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)


def test_the_average_by_hand():
    images = resized(DATA.train, 16).take(slice(256))
    module = build(trace(SMALL), seed=0)
    training = FullTraining(module, images, DATA, replace(FULL, average=1.0), seed=0)
    seen = [{k: v.clone() for k, v in module.state_dict().items()}]
    step = training._step

    def watched(loss: torch.Tensor) -> None:
        step(loss)
        seen.append({k: v.clone() for k, v in module.state_dict().items()})

    training._step = watched
    training.advance(3)
    name = "stages.0.0.pointwise.norm.running_var"
    expected = seen[0][name]
    for number, state in enumerate(seen[1:], 1):
        share = max(1 / 6, 9 / (number + 9))
        expected = expected + share * (state[name] - expected)
    torch.testing.assert_close(training.average.state_dict()[name], expected)
    count = "stages.0.0.pointwise.norm.num_batches_tracked"
    assert training.average.state_dict()[count] == len(seen) - 1 == 6


def test_gradients_are_clipped():
    images = resized(DATA.train, 16).take(slice(128))
    module = build(trace(SMALL), seed=0)
    before = {k: v.detach().clone() for k, v in module.named_parameters()}
    recipe = replace(FULL, epochs=1, clip=1e-3, weight_decay=0.0, warm_up=0.0, momentum=0.0)
    FullTraining(module, images, DATA, recipe, seed=0).advance(1)
    moved = torch.cat([(v.detach() - before[k]).flatten() for k, v in module.named_parameters()])
    assert float(moved.norm()) == pytest.approx(0.05 * 1e-3, rel=1e-2)


@pytest.mark.parametrize("way", [mixup, cutmix])
def test_labels_are_mixed_as_images_are(way):
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8)
    y = torch.eye(4)
    for seed in range(20):
        mixed, labels = way(x, y, 1.0, torch.Generator().manual_seed(seed))
        again, _ = way(x, y, 1.0, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed, again)
        values = torch.arange(4.0)
        torch.testing.assert_close(mixed.mean((1, 2, 3)), labels @ values)
        torch.testing.assert_close(labels.sum(1), torch.ones(4))
    assert torch.equal(x[:, 0, 0, 0], values)  # the batch itself is left alone


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda f: f.__name__.strip("_"))
def test_operations_of_no_strength_change_nothing(operation):
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    none = operation(x, torch.zeros(2, 1, 1, 1))
    if operation.__name__ != "_autocontrast":  # it has no strength
        torch.testing.assert_close(none, x, atol=1 / 255, rtol=0)
    for strength in (-1.0, 1.0):
        changed = operation(x, torch.full((2, 1, 1, 1), strength))
        assert changed.shape == x.shape and changed.isfinite().all()
        assert not torch.allclose(changed, x, atol=1e-2)


def test_images_vary_each_in_its_own_way():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8, generator=generator)
    image = image.expand(200, 3, 8, 8)
    varied = vary(image, torch.Generator().manual_seed(1))
    assert varied.min() >= 0 and varied.max() <= 1
    assert torch.equal(varied, vary(image, torch.Generator().manual_seed(1)))
    same = (varied == image.float() / 255).flatten(1).all(1).sum()
    assert 5 <= int(same) <= 60  # one in thirteen, and those that an operation leaves alone
    assert len(varied.flatten(1).unique(dim=0)) > 150
