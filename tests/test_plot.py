"""What a figure shows, not its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

import nas
from nas.plot import plot_front, save_front
from nas.records import BASELINES, append_line
from nas.run import front


@pytest.fixture
def run(finished, tmp_path) -> nas.Run:
    """The finished run with two baselines, one of which could not be trained."""
    (tmp_path / "run").mkdir()
    for name in ("run.json", "trials.jsonl"):
        (tmp_path / "run" / name).write_bytes((finished.path / name).read_bytes())
    first = replace(finished.records[0], number=-1, name="mobilenet_v2_x0_25")
    for record in (first, replace(first, name="inception_v3", result=None, error="too large")):
        append_line(tmp_path / "run" / BASELINES, record.to_json())
    return nas.load(tmp_path / "run")


def points(figure: Figure, label: str | None = None) -> int:
    """The number of points drawn, of one label or of all block families."""
    return sum(
        len(found.get_offsets())
        for found in figure.axes[0].collections
        if isinstance(found, PathCollection)
        and (found.get_label() == label if label else found.get_zorder() == 2)
    )


@pytest.mark.parametrize(
    ("x", "label"), [("macs", "multiply–accumulates"), ("params", "parameters")]
)
def test_every_trial_is_drawn_and_the_front_on_top(x, label, run):
    figure = plot_front([run], x=x)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (label, "validation accuracy")
    assert points(figure) == 8
    assert points(figure, "published") == 1
    assert [text.get_text() for text in axes.texts] == ["mobilenet_v2_x0_25"]
    (line,) = (line for line in axes.lines if line.get_label() == "front")
    found = front(run.trials, ("accuracy", x))
    assert list(line.get_xdata()) == list(found[x])
    assert list(line.get_ydata()) == list(found["accuracy"])


def test_the_legend_names_each_family_once(run):
    figure = plot_front([run, run], x="macs")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == len(set(labels))
    assert set(run.trials["family"]) <= set(labels) and f"front of {run.path.name}" in labels


def test_numbers_on_the_axes_are_as_people_read_them(run):
    figure = plot_front([run], x="macs")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert all(text.get_text().endswith("M") for text in axes.get_xticklabels()[1:-1])
    assert all(text.get_text().endswith(" %") for text in axes.get_yticklabels())


def test_the_title_says_space_data_and_budget(run):
    assert plot_front([run]).axes[0].get_title(loc="left") == "tiny on digits"
    run.info["settings"]["budget"] = ["300M-flops", "5M-params"]
    title = plot_front([run]).axes[0].get_title(loc="left")
    assert title == "tiny on digits, 300M-flops, 5M-params"
    assert plot_front([run], title="mine").axes[0].get_title(loc="left") == "mine"


@pytest.mark.parametrize("accuracies", [[], [1.0] * 8, [0.0] * 8, [0.1] * 7 + [0.9]])
def test_extreme_runs_are_drawn(accuracies, run, tmp_path):
    run.records[:] = [
        replace(record, result=replace(record.result, score=accuracy))
        for record, accuracy in zip(run.records, accuracies, strict=False)
    ]
    save_front([run], tmp_path / "front.png")
    with Image.open(tmp_path / "front.png") as image:
        image.verify()
    low, high = plot_front([run], x="macs").axes[0].get_ylim()
    assert all(low <= value <= high for value in accuracies if value == max(accuracies))


def test_failures_to_learn_are_out_of_sight(run):
    accuracies = np.r_[0.1, np.linspace(0.8, 0.9, 7)]
    run.records[:] = [
        replace(record, result=replace(record.result, score=float(accuracy)))
        for record, accuracy in zip(run.records, accuracies, strict=True)
    ]
    low, high = plot_front([run], x="macs").axes[0].get_ylim()
    assert 0.1 < low < 0.8 and 0.9 < high <= 1
