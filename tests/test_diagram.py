"""`nas show`: every block once, with what it costs; a table and a picture of it."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from nas import reference
from nas.cost import cost
from nas.diagram import lay_out
from nas.diagram.picture import plot_diagram
from nas.diagram.terminal import print_diagram, shape_text
from nas.networks import find_network


@pytest.mark.parametrize("name", reference.names())
def test_the_parts_are_the_whole(name):
    network = find_network(name)
    diagram, whole = lay_out(network), cost(network.graph)
    for count in ("macs", "params", "activations"):
        assert sum(getattr(part, count) for part in diagram.parts) == getattr(whole, count)
    assert sum(part.layers for part in diagram.parts) == len(network.graph.nodes) - 1
    assert diagram.parts[0].input == network.graph.input
    assert diagram.parts[-1].output == diagram.output == network.graph.output
    paths = [part.path for part in diagram.parts]
    assert len(set(paths)) == len(paths)


def test_a_stage_table_by_its_blocks():
    parts = lay_out(find_network("mobilenet_v2_x1_0")).parts
    assert [part.path for part in parts[:4]] == ["stem", "stages.0.0", "stages.1.0", "stages.1.1"]
    assert {part.block for part in parts} == {"conv", "inverted_residual", "classifier"}
    assert (parts[1].settings, parts[1].output) == ({"expansion": 1}, (16, 112, 112))
    assert [part.stage for part in parts[:3]] == ["stem", "stages.0", "stages.1"]


def test_a_function_by_its_names():
    parts = lay_out(find_network("inception_v4")).parts
    assert [(p.path, p.block) for p in parts[:4]] == [
        ("conv_1a", "conv"),
        ("conv_2a", "conv"),
        ("conv_2b", "conv"),
        ("mixed_3a", "mixed"),
    ]
    assert [(p.path, p.block) for p in parts[-2:]] == [("pool", "pool"), ("classifier", "linear")]


def test_equal_blocks_are_one_line(capsys):
    print_diagram(lay_out(find_network("mobilenet_v2_x1_0")))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mobilenet_v2_x1_0: 3×224×224 → 3,504,872 params, 300,774,272 macs")
    assert len(lines) == 16  # the title, the columns, 14 kinds of blocks
    (line,) = (line for line in lines if "× 3" in line)
    assert line.split()[:4] == ["inverted_residual", "×", "3", "64×14×14"]


def test_a_name_is_no_markup_and_no_formula(cli, finished):
    """Neither the terminal's tables nor the pictures read it."""
    name = 'it\'s [/b] <i> "$\\frac$" :ok:'
    shutil.copytree(finished.path, name)
    shown = cli("show", f"{name}:0", "--png", "net.png")
    assert shown.code == 0 and shown.out.startswith(f"{name}:0: 3×224×224")
    plotted = cli("front", name, finished.path, "--plot", "front.png")
    assert plotted.code == 0 and name in plotted.out


def test_what_is_no_network_says_what_would_be(cli, finished, trained):
    def refused(name):
        found = cli("show", name)
        assert (found.code, found.err.count("\n")) == (2, 1)
        return found.err

    assert f"expected one of its networks, as {finished.path}:0" in refused(finished.path)
    assert f"expected a network, as {trained.path}/architecture.yaml" in refused(trained.path)
    assert "expected a published name, a .yaml file or" in refused("results/none:last")


def test_shapes():
    assert shape_text((24, 56, 56)) == "24×56×56" and shape_text((10, 1, 1)) == "10"


@pytest.mark.parametrize("name", ["ghostnet_x0_5", "xception"])
def test_the_picture_shows_every_part(name):
    diagram = lay_out(find_network(name))
    top, bottom = plot_diagram(diagram).axes
    assert len(top.patches) == len(diagram.parts)
    assert len(bottom.patches) == 2 * len(diagram.parts)
    shares = [patch.get_height() for patch in bottom.patches[: len(diagram.parts)]]
    assert sum(shares) == pytest.approx(1)
    heights = [patch.get_height() for patch in top.patches]
    assert heights[0] == max(heights) and heights[-1] == min(heights)


def test_the_command(cli):
    found = cli("show", "squeezenet1_1", "--png", "net.png", "--resolution", 64, "--json")
    document = json.loads(found.out)
    assert found.code == 0 and document["input"] == [3, 64, 64]
    assert sum(part["macs"] for part in document["parts"]) == document["cost"]["macs"]
    with Image.open("net.png") as image:
        assert image.width > 600
    assert "fire" in cli("show", "squeezenet1_1").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("net", "unknown network 'net'"),
        ("squeezenet1_1 --png net.gif", "--png 'net.gif': expected a .png, .svg or .pdf"),
        ("squeezenet1_1 --resolution 1", "too small"),
    ],
)
def test_bad_input(words, message, cli):
    found = cli("show", *words.split())
    assert (found.code, found.out) == (2, "") and message in found.err
