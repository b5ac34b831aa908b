"""Architectures: YAML and back, what is said of a wrong one, and ids that last."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import yaml
from cases import FAMILIES, mobilenet_v2

from nas.arch import Architecture, Stage, graph_id, last_map, trace
from nas.blocks import Classifier, ConvBlock, Embedding, Ghost, InvertedResidual, PoolBlock, name_of
from nas.errors import InputError
from nas.reference import NETWORKS, published

TABLES = [n for n in NETWORKS if isinstance(NETWORKS[n].network, Architecture)]


# Round trip --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_yaml_brings_a_published_network_back(name, tmp_path):
    arch = published(name).network
    path = tmp_path / "net.yaml"
    path.write_text(arch.to_yaml(), encoding="utf-8")
    again = Architecture.from_yaml(path)
    assert again == arch and hash(again) == hash(arch)
    assert graph_id(trace(again)) == arch.id


@pytest.mark.parametrize("block", FAMILIES, ids=name_of)
def test_every_block_comes_back_with_its_settings(block):
    width = 16 if isinstance(block, PoolBlock) else 24
    arch = replace(
        mobilenet_v2(32), stem=Stage(ConvBlock(), 1, 16), stages=(Stage(block, 2, width),)
    )
    assert Architecture.from_dict(yaml.safe_load(arch.to_yaml())) == arch


def test_the_text_reads_like_a_table():
    lines = mobilenet_v2().to_yaml().splitlines()
    assert lines[:2] == ["format: 1", "input: [3, 224, 224]"]
    assert lines[2].startswith("stem: {block: conv, depth: 1, width: 32, stride: 2, kernel: 3")
    assert lines[5].startswith("- {block: inverted_residual, depth: 2, width: 24, stride: 2")
    assert lines[-2].startswith("head: {head: classifier, width: 1280")
    assert len(lines) == 4 + 7 + 2


def test_settings_and_format_may_be_left_out():
    arch = Architecture.from_dict(
        {
            "input": [3, 32, 32],
            "stem": {"block": "conv", "width": 16},
            "stages": [{"block": "ghost", "width": 24, "stride": 2}],
            "head": {"head": "embedding"},
            "classes": 10,
        }
    )
    assert arch == Architecture(
        (3, 32, 32),
        Stage(ConvBlock(), 1, 16, 1),
        (Stage(Ghost(), 1, 24, 2),),
        Embedding(),
        10,
    )


def test_an_architecture_is_frozen():
    with pytest.raises(FrozenInstanceError):
        mobilenet_v2().classes = 10


# Errors ------------------------------------------------------------------------------------------

RIGHT = {
    "input": [3, 32, 32],
    "stem": {"block": "conv", "width": 16},
    "stages": [{"block": "conv", "width": 16}, {"block": "ghost", "width": 24, "depth": 2}],
    "head": {"head": "classifier"},
    "classes": 10,
}
MISSING = object()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("format", 2, "format: this version reads format 1, got 2"),
        ("input", [3, 32], "input: expected [channels, height, width], got [3, 32]"),
        ("input", [3, 0, 32], "input: expected [channels, height, width], got [3, 0, 32]"),
        ("input", [3, True, 32], "input: expected [channels, height, width], got [3, True, 32]"),
        ("input", 32, "input: expected [channels, height, width], got 32"),
        ("classes", 0, "classes: expected a positive int, got 0"),
        ("classes", "ten", "classes: expected a positive int, got 'ten'"),
        ("classes", MISSING, "classes is missing"),
        ("clases", 10, "unknown key 'clases'; did you mean classes?"),
        ("stages", [], "stages: expected a list of stages, got []"),
        ("stages", {}, "stages: expected a list of stages, got {}"),
        ("stages.1", 3, "stages.1: expected a mapping, got 3"),
        ("stages.1.block", MISSING, "stages.1: block is missing"),
        ("stages.1.width", MISSING, "stages.1: width is missing"),
        ("stages.1.width", -8, "stages.1.width: expected a positive int, got -8"),
        ("stages.1.depth", 1.5, "stages.1.depth: expected a positive int, got 1.5"),
        ("stages.1.depth", True, "stages.1.depth: expected a positive int, got True"),
        ("stages.1.stride", "two", "stages.1.stride: expected a positive int, got 'two'"),
        ("stages.1.block", "gost", "stages.1.block: unknown block 'gost'; did you mean ghost?"),
        ("stages.1.block", 3, "stages.1.block: unknown block 3; known are"),
        ("stages.1.rato", 3, "stages.1.rato: ghost has no such parameter; did you mean ratio?"),
        ("stages.1.ratio", "x", "stages.1.ratio: expected a valid integer, got 'x'"),
        ("stages.1.ratio", 2.5, "stages.1.ratio: expected a valid integer, got 2.5"),
        ("stages.1.activation", "gelu", "stages.1.activation: expected 'relu', "),
        ("stem.kernel", [3], "stem.kernel: expected a valid integer, got [3]"),
        ("head", "classifier", "head: expected a mapping, got 'classifier'"),
        ("head.head", MISSING, "head: head is missing"),
        ("head.head", "clasifier", "head.head: unknown head 'clasifier'; did you mean classifier"),
        ("head.widht", 8, "head.widht: classifier has no such parameter; did you mean width?"),
        ("head.dropout", "no", "head.dropout: expected a valid number, got 'no'"),
    ],
)
def test_an_error_says_place_value_and_what_is_right(place, value, said):
    with pytest.raises(InputError) as error:
        Architecture.from_dict(changed(place, value), "net.yaml")
    assert str(error.value).startswith(f"net.yaml: {said}") and "\n" not in str(error.value)


def changed(place: str, value: Any) -> dict[str, Any]:
    """RIGHT with another value at a place."""
    data: Any = deepcopy(RIGHT)
    *path, key = (int(part) if part.isdigit() else part for part in place.split("."))
    inner = data
    for part in path:
        inner = inner[part]
    if value is MISSING:
        del inner[key]
    else:
        inner[key] = value
    return data


def test_what_is_no_architecture_is_refused(tmp_path):
    path = tmp_path / "net.yaml"
    for text, said in (("", "expected a mapping, got None"), ("a: [1\n", "line 2 ")):
        path.write_text(text)
        with pytest.raises(InputError) as error:
            Architecture.from_yaml(path)
        assert str(error.value).startswith(f"{path}: {said}")
    with pytest.raises(InputError, match=r"gone\.yaml: No such file or directory"):
        Architecture.from_yaml(tmp_path / "gone.yaml")


# Identity ----------------------------------------------------------------------------------------

GOLDEN = "5044edbd56b0"


def test_an_id_lasts():
    """Records of runs hold ids: one that changes orphans them."""
    assert mobilenet_v2().id == GOLDEN


def test_an_id_is_the_same_in_another_process():
    code = "from nas.reference import published\nprint(published('mobilenet_v2_x1_0').network.id)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == GOLDEN


def test_ids_of_published_networks_differ():
    ids = [published(name).network.id for name in TABLES]
    assert len(set(ids)) == len(ids)


def test_an_id_sees_layers_shapes_edges_input_and_classes_alone():
    arch = mobilenet_v2()
    split = (
        *arch.stages[:1],
        Stage(InvertedResidual(), 1, 24, 2),
        Stage(InvertedResidual(), 1, 24),
    )
    for other, same in [
        (replace(arch, stages=(*split, *arch.stages[2:])), True),  # other paths
        (replace(arch, classes=10), False),
        (replace(arch, input=(3, 192, 192)), False),
        (replace(arch, head=replace(arch.head, width=640)), False),
        (replace(arch, head=replace(arch.head, dropout=0.0)), False),
    ]:
        assert (other.id == arch.id) is same


# The last map ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "side", "pixels"),
    [
        ("mobilenet_v2_x1_0", 224, 7),
        ("mobilenet_v2_x1_0", 32, 1),
        ("mobilenet_v2_x1_0_cifar", 32, 4),
        ("squeezenet1_0", 224, 13),
        ("ghostnet_x1_0", 192, 6),
    ],
)
def test_the_last_map_is_what_the_head_pools(name, side, pixels):
    assert last_map(published(name).graph(resolution=side)) == pixels


def test_the_last_map_is_its_shorter_side():
    arch = replace(mobilenet_v2(), input=(3, 96, 64), head=Classifier())
    assert last_map(trace(arch)) == 2
