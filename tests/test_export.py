"""`nas export`: every format computes what torch does, and the card says what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from conftest import FULL, SMALL

import nas
from nas.errors import InputError
from nas.exporting.check import ExportDiffers, compare
from nas.exporting.export import Exported
from nas.exporting.formats import FORMATS
from nas.exporting.subject import find_subject, images_of
from nas.latency import backends
from nas.latency.backends import EXTRAS
from nas.net import build
from nas.training.trained import Trained


def export(trained: Trained | str, out: Path, format: str, **settings) -> Exported:
    network = trained.path if isinstance(trained, Trained) else trained
    return nas.export(network, format=format, out=out, **{"latency": False, **settings})


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_computes_the_same(format, trained, tmp_path):
    if format in EXTRAS:
        pytest.importorskip(format, reason=f"needs the extra {format}")
    out = tmp_path / f"net{FORMATS[format].suffix}"
    exported = export(trained, out, format)
    difference = exported.difference
    assert difference["largest"] <= 1e-3 * difference["deviation"]
    assert (difference["same_class"], difference["images"]) == (1.0, 128)
    assert difference["accuracy"] == difference["accuracy_torch"] > 0.05
    assert exported.bytes == sum(Path(file).stat().st_size for file in exported.files)
    assert set(map(Path, exported.files)) | {Path(exported.card)} == set(tmp_path.iterdir())
    assert exported.training == trained.result


def test_the_card_says_what_it_is(trained, tmp_path):
    exported = export(trained, tmp_path / "net.onnx", "onnx")
    text = Path(exported.card).read_text()
    accuracy = f"{trained.result['test_accuracy']:.2%}"
    for words in (accuracy, "Classes: 0, 1, 2", "mean 0.3", "359 test images of digits"):
        assert words in text
    assert "`nas train`: 3 epochs of batches of 128 by sgd, learning rate up to 0.05" in text
    assert "| parameters | 650 |" in text and "| latency" not in text
    assert "stages:\n- {block: depthwise_separable" in text
    assert "random start" not in text and "eight bits" not in text


def test_eight_bits_learn_their_ranges_from_images(trained, tmp_path):
    own = export(trained, tmp_path / "own.onnx", "onnx", int8=True)
    plain = export(trained, tmp_path / "plain.onnx", "onnx")
    difference = own.difference
    assert difference["same_class"] > 0.8
    assert difference["largest"] > 1e-3 * difference["deviation"]
    kinds = {input.name for input in onnxruntime.InferenceSession(own.files[0]).get_inputs()}
    assert kinds == {"image"} and own.bytes != plain.bytes
    assert "64 training images of digits showed the ranges" in Path(own.card).read_text()
    dark = tmp_path / "dark.npz"
    np.savez(dark, x_train=np.zeros((20, 8, 8), np.uint8), y_train=np.arange(20) % 2)
    other = export(trained, tmp_path / "dark.onnx", "onnx", int8=True, calibrate=str(dark))
    assert other.difference["largest"] > 2 * difference["largest"]


def test_a_network_without_weights_is_a_random_start(tmp_path):
    exported = export("shufflenet_v2_x0_5", tmp_path / "net.py", "python", resolution=32)
    assert exported.difference["deviation"] > 1e-3  # no score vanishes
    assert exported.training is None and exported.difference["accuracy"] is None
    assert (exported.resolution, exported.classes, exported.batch) == (32, 1000, "any")
    text = Path(exported.card).read_text()
    assert "random start" in text and "No training of these weights" in text


def test_weights_by_their_file(trained, tmp_path):
    (tmp_path / "net.yaml").write_text(SMALL.to_yaml())
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(trained.weights.read_bytes())
    by_file = find_subject(tmp_path / "net.yaml", copy, None)
    by_run = find_subject(tmp_path / "net.yaml", trained.weights, None)
    assert by_file.trained is None and by_file.weighted
    assert by_run.trained is not None and by_run.trained.path == trained.path
    for name, value in by_run.weights.items():
        assert np.array_equal(value, by_file.weights[name])
    assert images_of(by_run, None, None).name == "digits"


def test_from_a_run_to_a_file(finished, tmp_path):
    """The words of the README, with a size that is quick."""
    run = nas.load(finished.path)
    net = run.front.iloc[0]
    arch = replace(net.architecture, input=(3, 16, 16))
    assert isinstance(nas.build(net.architecture), torch.fx.GraphModule)
    recipe = replace(FULL, epochs=1)
    found = nas.train(arch, data="digits", recipe=recipe, out=tmp_path / "run")
    exported = nas.export(found.path, format="onnx", out=tmp_path / "net.onnx", latency=False)
    assert exported.difference["same_class"] == 1.0


def test_the_command_measures_and_prints_one_document(trained, cli):
    words = ["export", trained.path, "--format", "onnx", "--out", "net.onnx"]
    found = cli(*words, "--json")
    document = json.loads(found.out)
    assert found.code == 0 and document["latency"]["backend"] == "onnxruntime"
    assert document["latency"]["low"] <= document["latency"]["latency_ms"]
    assert document["files"] == ["net.onnx"] and document["card"] == "net.onnx.md"
    plain = cli(*words, "--no-latency").out.splitlines()
    assert [line.split(":")[0] for line in plain] == ["net.onnx", "Against torch", "Card"]


def test_the_command_says_that_weights_are_random(cli):
    Path("net.yaml").write_text(SMALL.to_yaml())
    found = cli("export", "net.yaml", "--format", "onnx", "--out", "net.onnx", "--no-latency")
    assert "Weights: a random start; nas train net.yaml gives a folder to export" in found.out


def test_a_file_that_differs_is_told(trained):
    subject = find_subject(trained.path, None, None)
    wrong = build(subject.graph, seed=9).eval()
    kind = FORMATS["pt2"]

    def scores(image):
        with torch.inference_mode():
            return wrong(torch.from_numpy(image)).numpy()

    with pytest.raises(ExportDiffers, match="the file differs from torch"):
        compare(scores, subject, images_of(subject, None, None), kind)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("net.yaml --format tflite --out x.tflite", "--format 'tflite': expected one of onnx, pt2"),
        ("net.yaml --format onnx --out x.pt", "--out 'x.pt': expected a .onnx file"),
        ("net.yaml --format onnx --out none/x.onnx", "there is no folder"),
        ("net.yaml --format pt2 --int8 --out x.pt2", "--int8: expected with --format onnx"),
        ("net.yaml --format onnx --int8 --out x.onnx", "--int8: expected --calibrate DATA"),
        ("net.yaml --format onnx --calibrate digits --out x.onnx", "--calibrate: expected with"),
        ("net.yaml --format onnx --weights wide.safetensors --out x.onnx", "expected the shape"),
        ("net.yaml --format onnx --weights none.safetensors --out x.onnx", "No such file"),
        ("grey.yaml --format onnx --out x.onnx", "expected 3 channels and a square"),
    ],
)
def test_bad_input(words, message, cli):
    Path("net.yaml").write_text(SMALL.to_yaml())
    Path("grey.yaml").write_text(replace(SMALL, input=(1, 16, 16)).to_yaml())
    wide = build(replace(SMALL, stem=replace(SMALL.stem, width=16)), seed=0)
    Path("wide.safetensors").write_bytes(safetensors.torch.save(wide.state_dict()))
    found = cli("export", *words.split())
    assert (found.code, found.out) == (2, "")
    assert message in found.err and found.err.count("\n") == 1
    assert not Path("x.onnx").exists()


def test_a_training_under_way_has_no_weights_yet(tmp_path):
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nas.train(SMALL, data="digits", recipe=FULL, out=tmp_path / "run", say=stop)
    with pytest.raises(InputError, match="the training has not ended; go on with: nas train --res"):
        nas.export(tmp_path / "run", format="onnx", out=tmp_path / "net.onnx")


@pytest.mark.parametrize("format", ["openvino", "executorch"])
def test_a_missing_extra_is_named(format, cli, monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    Path("net.yaml").write_text(SMALL.to_yaml())
    out = f"net{FORMATS[format].suffix}"
    found = cli("export", "net.yaml", "--format", format, "--out", out)
    assert found.code == 2 and f"pip install 'nas-explorer[{format}]'" in found.err
