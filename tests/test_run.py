"""Runs as tables: the front, its ties, the hypervolume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import nas
from nas.errors import InputError
from nas.pareto import hypervolume, non_dominated
from nas.records import COMPLETE, FAILED, Result, Trial
from nas.run import COLUMNS, family, frame, front, hypervolume_of
from nas.scores import standard_error

OBJECTIVES = ("accuracy", "macs")


def trial(number: int, accuracy: float | None, macs: int, images: int = 10_000) -> Trial:
    costs = dict.fromkeys(("params", "activations", "traffic", "memory", "size"), 1)
    return Trial(
        number=number,
        id=f"{number:012x}",
        params={"stem.width": 8},
        arch={},
        cost={"macs": macs, **costs},
        state=FAILED if accuracy is None else COMPLETE,
        seed=0,
        result=None
        if accuracy is None
        else Result(accuracy, 1.0, images, (1.0,), ((1, accuracy),), 1.0),
        error="Diverged" if accuracy is None else None,
    )


def numbers(trials: list[Trial], objectives: tuple[str, ...] = OBJECTIVES) -> list[int]:
    return list(front(frame(trials), objectives)["number"])


# The tables of a run -----------------------------------------------------------------------------


def test_trials_are_a_table(finished):
    table = nas.load(finished.path).trials
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert list(table["number"]) == list(range(8))
    assert table["accuracy"].between(0, 1).all() and table["latency_ms"].isna().all()
    row = table.iloc[0]
    assert row["architecture"].id == row["id"]
    assert row["params.stem.width"] in (8, 16)
    assert row["size_bytes"] == 4 * row["params"]


def test_the_front_is_within_the_trials(finished):
    run = nas.load(finished.path)
    found = run.front
    assert set(found["number"]) <= set(run.trials["number"])
    assert found["macs"].is_monotonic_increasing and found["accuracy"].is_monotonic_increasing
    written = pd.read_csv(run.path / "front.csv")
    assert list(written["number"]) == list(found["number"])
    assert np.allclose(written["accuracy"], found["accuracy"])
    assert "architecture" not in written


def test_an_architecture_by_its_number(finished):
    assert finished.architecture(3).id == finished.records[3].id
    with pytest.raises(InputError, match="no trial 8, it has 8"):
        finished.architecture(8)


def test_a_run_shows_its_folder_and_size(finished):
    assert repr(finished) == f"Run({str(finished.path)!r}, 8 trials)"


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is .* a run"):
        nas.load(tmp_path)


def test_an_empty_table_has_its_columns():
    table = frame([])
    assert list(table.columns) == [*COLUMNS, "architecture"]
    assert front(table, OBJECTIVES).empty


def test_a_family_is_the_block_of_most_layers(finished):
    arch = finished.records[0].arch
    stages = [("ghost", 1), ("conv", 2), ("ghost", 2)]
    arch = {**arch, "stages": [{"block": block, "depth": depth} for block, depth in stages]}
    assert (family(arch), family({})) == ("ghost", None)


def test_an_unknown_block_leaves_a_row_without_an_architecture(finished):
    arch = finished.records[0].arch
    stages = [{**arch["stages"][0], "block": "gone"}]
    (row,) = frame([replace(finished.records[0], arch={**arch, "stages": stages})]).itertuples()
    assert (row.architecture, row.family) == (None, "gone")


# Fronts ------------------------------------------------------------------------------------------


def test_the_front_is_what_nothing_dominates_by_rising_cost():
    trials = [trial(0, 0.5, 10), trial(1, 0.9, 30), trial(2, 0.8, 40), trial(3, 0.7, 20)]
    assert numbers(trials) == [0, 3, 1]


def test_of_equal_trials_the_first_is_on_the_front():
    assert numbers([trial(0, 0.5, 10), trial(1, 0.5, 10), trial(2, 0.4, 10)]) == [0]


def test_trials_that_failed_or_lack_a_value_are_not_on_the_front():
    assert numbers([trial(0, None, 1), trial(1, 0.5, 10)]) == [1]
    assert numbers([trial(0, 0.5, 10)], ("accuracy", "latency")) == []


def test_three_objectives():
    small = trial(2, 0.4, 30)
    small = replace(small, cost={**small.cost, "params": 0})
    trials = [trial(0, 0.5, 10), trial(1, 0.4, 20), small]
    assert numbers(trials, ("accuracy", "macs", "params")) == [0, 2]


def test_points_that_cannot_be_told_apart_are_ties():
    """Two accuracies near 0.8 on 100 images differ by 0.057 or more, or not at all."""
    accuracies = [0.80, 0.85, 0.87, 0.95]
    trials = [trial(n, value, 10 * n + 10, images=100) for n, value in enumerate(accuracies)]
    assert list(front(frame(trials), OBJECTIVES)["tie"]) == [False, True, False, False]
    many = [trial(n, value, 10 * n + 10, images=100_000) for n, value in enumerate(accuracies)]
    assert not front(frame(many), OBJECTIVES)["tie"].any()


def test_non_dominated_rows_of_known_points():
    points = np.array([[0.5, 1], [0.5, 2], [0.9, 3], [np.nan, 0], [0.1, 0.5]])
    assert list(non_dominated(points, [True, False])) == [True, False, True, False, True]
    assert list(non_dominated(points[3:4], [True, False])) == [False]
    assert len(non_dominated(np.empty((0, 2)), [True, False])) == 0


# Hypervolume -------------------------------------------------------------------------------------


def test_hypervolume_by_hand():
    """Maximise a above 0.1, minimise b below 10: two boxes, less what they share."""
    points = np.array([[0.5, 4.0], [0.9, 8.0], [0.4, 5.0], [np.nan, 1.0], [0.05, 1.0], [0.6, 12.0]])
    expected = (0.5 - 0.1) * (10 - 4) + (0.9 - 0.1) * (10 - 8) - (0.5 - 0.1) * (10 - 8)
    assert hypervolume(points, [0.1, 10.0], [True, False]) == pytest.approx(expected)
    assert hypervolume(points[:0], [0.1, 10.0], [True, False]) == 0
    assert hypervolume(points[3:], [0.1, 10.0], [True, False]) == 0


def test_hypervolume_of_trials():
    trials = [trial(0, 0.5, 4), trial(1, None, 1), trial(2, 0.9, 8)]
    reference = {"accuracy": 0.1, "macs": 10.0}
    assert hypervolume_of(trials, reference, OBJECTIVES) == pytest.approx(3.2)
    assert hypervolume_of([], reference, OBJECTIVES) == 0


def test_the_hypervolume_of_a_run_grows_with_its_trials(finished):
    reference = finished.info["hypervolume_reference"]
    volumes = [hypervolume_of(finished.records[:n], reference, OBJECTIVES) for n in range(9)]
    assert volumes == sorted(volumes) and volumes[-1] == finished.hypervolume > 0


def test_standard_error():
    assert standard_error(0.8, 100) == pytest.approx(0.04)
    assert standard_error(1.0, 100) == standard_error(0.0, 0) == 0
