"""Searches of a table of results: reading it, its hypervolume, the command line, bad tables."""

from __future__ import annotations

import itertools
import json
import math

import pandas as pd
import pytest

import nas
from nas.errors import InputError
from nas.samplers import NAMES
from nas.table import read_table
from nas.table_search import search_table

FLAGS = ["--encode", "arch:chars", "--accuracy", "acc", "--cost", "macs"]
COLUMNS = {"encode": "arch:chars", "accuracy": "acc", "cost": "macs"}


def write(path, rows, header="arch,acc,macs,params"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def small(tmp_path):
    """81 networks of four characters; more is slower and better, with one useless choice."""
    rows = []
    for arch in itertools.product("012", repeat=4):
        macs = sum((int(c) + 1) ** 2 * (i + 1) for i, c in enumerate(arch))
        acc = 90 - 40 / math.sqrt(macs) - 3 * (arch[1] == "2")
        rows.append(f"{''.join(arch)},{acc:.3f},{macs},{macs * 7 + int(arch[0])}")
    return write(tmp_path / "small.csv", rows)


# Reading -----------------------------------------------------------------------------------------


def test_texts_stay_texts(tmp_path):
    path = write(tmp_path / "t.csv", ["0012,1,2,0", "12,2,3,0", "NA,3,4,0"])
    table = read_table(path, ["arch"], "acc", ["macs"])
    assert table.keys == (("0012",), ("12",), ("NA",))
    assert table.row({"arch": "12"}) == 1


def test_a_parameter_a_character(small):
    table = read_table(small, ["arch:chars"], "acc", ["macs", "params"])
    assert table.parameters == ("arch.0", "arch.1", "arch.2", "arch.3")
    assert (len(table), table.size) == (81, 81)
    assert table.params(5) == {"arch.0": "0", "arch.1": "0", "arch.2": "1", "arch.3": "2"}
    assert table.objectives == ("acc", "macs", "params")


def test_hypervolume_is_a_share_of_the_true_fronts(tmp_path):
    """By hand: errors 0, ½, 1 and costs 1, ¼, 0 on the front; the last row is dominated."""
    path = write(tmp_path / "t.csv", ["a,9,50,0", "b,8,20,0", "c,7,10,0", "d,7,50,0"])
    table = read_table(path, ["arch"], "acc", ["macs"])
    whole = 1.1 * 0.1 + 0.6 * 0.75 + 0.1 * 0.25
    assert table.share([0, 1, 2]) == pytest.approx(1)
    assert table.share([1]) == pytest.approx(0.6 * 0.85 / whole)
    assert table.share([3]) == pytest.approx(0.1 * 0.1 / whole)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (["a,,1,1"], {}, "t.csv:2: acc '': expected a number"),
        (["a,1,1,1", "b,nan,1,1"], {}, "t.csv:3: acc 'nan': expected a number"),
        (["a,1,x,1"], {}, "t.csv:2: macs 'x': expected a number"),
        ([",1,1,1"], {}, "t.csv:2: arch is empty"),
        (["a,1,1,1", "a,2,1,1"], {}, "t.csv:3: a has other results in line 2"),
        (["ab,1,1,1", "abc,1,1,1"], {"encode": ["arch:chars"]}, "expected 2 characters"),
        (["a,1,1,1"], {"accuracy": "acc1"}, "no column 'acc1'; did you mean acc"),
        (["a,1,1,1"], {"encode": ["arc"]}, "no column 'arc'; did you mean arch"),
        (["a,1,1,1"], {"encode": ["arch:bits"]}, "expected arch or arch:chars"),
        (["a,1,1,1"], {"costs": ["acc"]}, "expected each objective once"),
        (["a,1,1,1"], {"costs": []}, "a column or more for --encode and for --cost"),
        ([], {}, "expected a row of results or more"),
        (["a,1,1,1", "b,1"], {}, "t.csv:3: expected 4 fields, as in the header, got 2"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, rows, columns, message):
    path = write(tmp_path / "t.csv", rows)
    wanted = {"encode": ["arch"], "accuracy": "acc", "costs": ["macs"]} | columns
    with pytest.raises(InputError, match=message):
        read_table(path, **wanted)


def test_a_row_that_is_there_twice_with_equal_results_counts_once(tmp_path):
    path = write(tmp_path / "t.csv", ["a,1,2,0", "b,2,3,0", "a,1,2,0"])
    assert len(read_table(path, ["arch"], "acc", ["macs"])) == 2


# Searching ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", NAMES)
def test_a_search_ends_when_every_row_is_tried(small, tmp_path, sampler):
    said = []
    run = search_table(
        small, **COLUMNS, sampler=sampler, trials=200, out=tmp_path / "out", say=said.append
    )
    assert run.steps["row"].is_unique and run.steps["hypervolume"].is_monotonic_increasing
    assert "it ends" in said[-1]
    if sampler in ("random", "cost-aware"):
        assert len(run.steps) == 81 and run.steps["hypervolume"].iloc[-1] == pytest.approx(1)
    pd.testing.assert_frame_equal(pd.read_csv(run.path), run.steps)


@pytest.mark.parametrize("sampler", NAMES)
def test_of_a_table_with_missing_rows_only_those_there_are_proposed(small, tmp_path, sampler):
    lines = small.read_text().splitlines()
    part, said = write(tmp_path / "part.csv", lines[1::2]), []
    run = search_table(
        part, **COLUMNS, sampler=sampler, trials=15, out=tmp_path / "out", say=said.append
    )
    assert "40 of 81 combinations are missing and are not proposed" in said[0]
    assert len(run.steps) == 15


def test_a_sparse_table_is_searched_to_its_end(small, tmp_path):
    """Nine rows of 3⁸ combinations."""
    rows = [f"{i:08b}".replace("1", "2" if i % 2 else "1") + f",{i},{i},0" for i in range(9)]
    path, said = write(tmp_path / "sparse.csv", rows), []
    run = search_table(path, **COLUMNS, out=tmp_path / "out", say=said.append)
    assert len(run.steps) == 9 and "all 9 rows are tried" in said[-1]


def test_cost_aware_never_repeats_and_leads(small, tmp_path):
    names = ("random", "cost-aware")
    run = search_table(small, **COLUMNS, sampler=names, trials=15, seeds=3, out=tmp_path / "out")
    aware = run.steps[run.steps["sampler"] == "cost-aware"]
    assert (aware["asks"] == aware["trial"]).all()
    last = run.summary([15]).set_index("sampler")["median"]
    assert last["cost-aware"] > max(0.93, last["random"])


def test_several_costs(small, tmp_path):
    run = nas.search(
        table=small,
        encode="arch:chars",
        accuracy="acc",
        cost="macs,params",
        trials=20,
        out=tmp_path / "out",
    )
    assert run.steps["hypervolume"].iloc[-1] > 0.9


def test_a_table_of_one_row_is_done_at_once(tmp_path):
    said = []
    path = write(tmp_path / "one.csv", ["a,1,2,0"])
    run = search_table(
        path, encode="arch", accuracy="acc", cost="macs", out=tmp_path / "out", say=said.append
    )
    assert run.steps["hypervolume"].tolist() == [1.0]
    assert said[-1] == "cost-aware, seed 0: all 1 rows are tried; it ends"


def test_a_seed_makes_a_search_reproducible(small, tmp_path):
    rows = [
        search_table(small, **COLUMNS, trials=12, seed=4, out=tmp_path / name).steps["row"].tolist()
        for name in ("one", "two")
    ]
    assert rows[0] == rows[1]


# The command line --------------------------------------------------------------------------------


def test_samplers_are_compared_in_one_command(cli, small):
    found = cli(
        "search", "--table", small, *FLAGS, "--trials", 12, "--seeds", 2,
        "--sampler", "random,cost-aware", "--out", "out",
    )  # fmt: skip
    assert found.code == 0
    assert found.err.count("of the true front's hypervolume") == 2 * 2 * 12
    assert "cost-aware" in found.out and "File: out/hypervolume.csv" in found.out
    steps = pd.read_csv("out/hypervolume.csv")
    assert steps.groupby(["sampler", "seed"]).size().tolist() == [12] * 4


def test_one_json_document(cli, small):
    flags = ["--trials", 8, "--json", "--quiet", "--out", "out"]
    found = cli("search", "--table", small, *FLAGS, *flags)
    document = json.loads(found.out)
    assert found.err == ""
    assert document["file"] == "out/hypervolume.csv"
    assert document["searches"][0]["trial"] == 8
    assert document["summary"][-1]["median"] == document["searches"][0]["hypervolume"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "no.csv", *FLAGS], "no.csv: no such file"),
        (["--table", "no.csv", *FLAGS[:4]], "expected --cost COLUMN with it"),
        (["--table", "no.csv", *FLAGS, "--budget", "1M-flops"], "--budget: nothing is trained"),
        (["--table", "no.csv", *FLAGS, "--sampler", "tp"], "'tp': no such sampler; did you mean"),
        (["--table", "no.csv", *FLAGS, "--sampler", "tpe,tpe"], "each sampler once"),
        (["--table", "no.csv", *FLAGS, "--seeds", "0"], "--seeds 0: expected a number from 1"),
        (["--table", "no.csv", *FLAGS, "--seed", "-1"], "--seed -1: expected a number from 0 to"),
        (["--seeds", "2"], "--seeds: expected --table FILE with it"),
    ],
    ids=["file", "no cost", "budget", "sampler", "twice", "seeds", "seed", "no table"],
)
def test_bad_flags_are_refused_in_a_sentence(cli, flags, message):
    found = cli("search", *flags)
    assert found.code == 2 and message in found.err
    assert len(found.err.splitlines()) == 1


def test_results_are_not_overwritten(cli, small):
    flags = ["--trials", 2, "--out", "out"]
    assert cli("search", "--table", small, *FLAGS, *flags).code == 0
    found = cli("search", "--table", small, *FLAGS, *flags)
    assert found.code == 2 and "exists; name another --out" in found.err
