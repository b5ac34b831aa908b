"""Search spaces: every point is a network, published ones are points, errors say what is right."""

from __future__ import annotations

import csv
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from cases import FAMILIES
from hypothesis import given
from hypothesis import strategies as st

from nas.arch import Architecture, graph_id, trace
from nas.blocks import BLOCKS, Ghost, name_of
from nas.cost import cost
from nas.encoding import encoder
from nas.errors import InputError
from nas.graph import Graph
from nas.reference import NETWORKS, load
from nas.space import Choice, Int, Space, deployed_side, proxy_side
from nas.space_file import load_space, parse_space, space_names
from nas.verify import verify

SPACES = space_names()
space_of = cache(load_space)


def points(space: Space, number: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    rng = random.Random(seed)
    return (space.sample(rng) for _ in range(number))


def space_from(text: str) -> Space:
    return parse_space(yaml.safe_load(text), "mine.yaml", name="mine", text=text)


SMALL = space_from("""
width_multiplier: {choice: [1, 1.5]}
stem: {block: conv, width: 8}
stages:
  - {block: {choice: [conv, depthwise_separable]}, depth: {int: [1, 2]}, width: 16, stride: 2}
  - {block: conv, width: same, groups: {choice: [1, 2, 8]}}
head: {head: classifier, width: 24}
""").bind(resolution=32, classes=10)


# Every point is a network ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_thousands_of_random_points_are_networks(name):
    space = space_of(name)
    for params in points(space, 1000):
        graph, found = trace(space.architecture(params)), set(params)
        assert graph.output == (1000, 1, 1)
        assert found == set(space.parameters)


@pytest.mark.parametrize("name", SPACES)
def test_every_value_of_every_parameter_makes_a_network(name):
    space = space_of(name)
    for start in points(space, 3):
        for path, parameter in space.parameters.items():
            for value in parameter.values:
                space.candidate({**start, path: value})


@pytest.mark.parametrize(
    ("name", "seed"), [*product(SPACES, range(3)), *product(["mobile"], range(3, 9))]
)
def test_fvcore_counts_what_a_point_costs(name, seed):
    space = space_of(name).bind(resolution=64, classes=10)
    verify(trace(space.architecture(space.sample(random.Random(seed)))))


@pytest.mark.parametrize("name", SPACES)
def test_the_layers_are_the_same_at_every_resolution(name):
    space = space_of(name)
    small = space.bind(resolution=32)
    for params in points(space, 30):
        assert layers(trace(small.architecture({**params, **full(space)}))) == layers(
            trace(space.architecture(params))
        )


def full(space: Space) -> dict[str, Any]:
    """ρ = 1, so that 32 pixels stay 32; no ρ where the space has none."""
    return {"resolution_multiplier": 1} if "resolution_multiplier" in space.parameters else {}


def layers(graph: Graph) -> list[Any]:
    return [(node.layer, node.inputs, node.path) for node in graph.nodes[1:]]


@given(st.integers())
def test_widths_of_mobile_are_multiples_of_8(seed):
    space = space_of("mobile")
    arch = space.architecture(space.sample(random.Random(seed)))
    assert all(stage.width % 8 == 0 for stage in (arch.stem, *arch.stages))
    assert arch.head.width % 8 == 0


@pytest.mark.parametrize("name", SPACES)
def test_yaml_brings_a_point_back(name):
    space = space_of(name)
    for params in points(space, 20):
        arch = space.architecture(params)
        again = Architecture.from_dict(yaml.safe_load(arch.to_yaml()))
        assert again == arch and again.id == arch.id


@pytest.mark.parametrize("name", SPACES)
def test_a_space_says_in_a_sentence_what_it_is(name):
    assert space_of(name).about.endswith(".") and space_of(name).about.count(". ") == 0


@pytest.mark.parametrize("name", SPACES)
def test_every_parameter_is_read_by_a_block_of_its_place(name):
    space = space_of(name)
    values = {**{path: (value,) for path, value in space.fixed.items()}, **space._values}
    for path in space.parameters:
        place, _, key = path.rpartition(".")
        if place and place != "head" and key not in ("block", "depth", "width", "stride"):
            read = {field.name for b in values[f"{place}.block"] for field in fields(BLOCKS[b])}
            assert key in read, path


# Published networks are points of their spaces ---------------------------------------------------


def point(space: Space, once: dict[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    """A setting from a table's columns, a value for all stages or a list with one for each.

    `once` are the parameters that no stage has, by path. What the space fixes must be equal.
    """
    values = dict(once or {})
    for key, column in columns.items():
        for i in range(space.stages):
            values[f"stages.{i}.{key}"] = column[i] if isinstance(column, list) else column
    values = {path: value for path, value in values.items() if value is not None}
    for path in values.keys() & space.fixed.keys():
        assert space.fixed[path] == values[path], path
    return {path: values[path] for path in space.parameters}


Setting = Callable[[Space], dict[str, Any]]


def mobilenet_v1(alpha: float) -> Setting:
    return lambda space: point(
        space,
        {"width_multiplier": alpha, "resolution_multiplier": 1},
        depth=[1, 2, 2, 6, 2],
        width=[64, 128, 256, 512, 1024],
        kernel=3,
    )


def mobilenet_v2(alpha: float) -> Setting:
    return lambda space: point(
        space,
        {"width_multiplier": alpha, "resolution_multiplier": 1},
        depth=[1, 2, 3, 4, 3, 3, 1],
        width=[16, 24, 32, 64, 96, 160, 320],
        expansion=[1, 6, 6, 6, 6, 6, 6],
        kernel=3,
    )


def mobilenet_v3_large(alpha: float, head: int) -> Setting:
    return lambda space: point(
        space,
        {"width_multiplier": alpha, "head.width": head},
        depth=[1, 1, 1, 3, 1, 1, 2, 2, 3],
        width=[16, 24, None, 40, 80, None, None, 112, 160],
        kernel=[3, 3, 3, 5, 3, 3, 3, 3, 5],
        expansion=[1, 4, 3, 3, 6, 2.5, 184 / 80, 6, 6],
        attention=["none", "none", "none", "se", "none", "none", "none", "se", "se"],
        activation=[*["relu"] * 4, *["hswish"] * 5],
    )


def mobilenet_v3_small(alpha: float, head: int) -> Setting:
    return lambda space: point(
        space,
        {"width_multiplier": alpha, "head.width": head},
        depth=[1, 1, 1, 1, 2, 2, 3],
        width=[16, 24, None, 40, None, 48, 96],
        kernel=[3, 3, 3, 5, 5, 5, 5],
        expansion=[1, 72 / 16, 88 / 24, 4, 6, 3, 6],
        attention=["se", "none", "none", "se", "se", "se", "se"],
        activation=[*["relu"] * 3, *["hswish"] * 4],
    )


V1_WIDTHS = {
    1: [144, 288, 576],
    2: [200, 400, 800],
    3: [240, 480, 960],
    4: [272, 544, 1088],
    8: [384, 768, 1536],
}


def shufflenet_v1(groups: int, alpha: float) -> Setting:
    return lambda space: point(
        space,
        {"width_multiplier": alpha},
        depth=[1, 4, 8, 4],
        width=[None, *V1_WIDTHS[groups]],
        groups=[None, groups, groups, groups],
        kernel=3,
        attention=[None, "none", "none", "none"],
    )


def shufflenet_v2(*widths: int, head: int) -> Setting:
    return lambda space: point(
        space,
        {"head.width": head},
        depth=[1, 4, 8, 4],
        width=[None, *widths],
        kernel=3,
        attention=[None, "none", "none", "none"],
    )


def squeezenet1_0(bypass: bool) -> Setting:
    return lambda space: point(
        space,
        {"stem.kernel": 7, "stem.width": 96, "stem.norm": False},
        depth=[1, 2, 1, 1, 1, 2, 1, 1, 1],
        width=[None, 128, 256, None, 256, 384, 512, None, 512],
        squeeze=fires(0.125, pools=(0, 3, 7), stages=9),
        share_3x3=fires(0.5, pools=(0, 3, 7), stages=9),
        bypass=fires(bypass, pools=(0, 3, 7), stages=9),
        norm=fires(False, pools=(0, 3, 7), stages=9),
    )


def squeezenet1_1(space: Space) -> dict[str, Any]:
    return point(
        space,
        {"stem.kernel": 3, "stem.width": 64, "stem.norm": False},
        depth=[1, 2, 1, 2, 1, 2, 2],
        width=[None, 128, None, 256, None, 384, 512],
        squeeze=fires(0.125, pools=(0, 2, 4), stages=7),
        share_3x3=fires(0.5, pools=(0, 2, 4), stages=7),
        bypass=fires(False, pools=(0, 2, 4), stages=7),
        norm=fires(False, pools=(0, 2, 4), stages=7),
    )


def fires(value: Any, *, pools: tuple[int, ...], stages: int) -> list[Any]:
    """A column that pools have no entry in."""
    return [None if i in pools else value for i in range(stages)]


def ghostnet(alpha: float, head: int = 960, **expansions: float) -> Setting:
    """`expansions` are those that a multiplier rounds to, by row."""
    expansion = [1, 3, 3, 3, 3, 6, 2.5, 2.3, 6, 6, 6, 6, 6, 6, 6]
    for row, value in expansions.items():
        expansion[int(row.removeprefix("row"))] = value
    return lambda space: point(
        space,
        {"width_multiplier": alpha, "head.width": head},
        depth=[1, 1, 1, 1, 1, 1, 1, 2, *[1] * 7],
        width=[16, 24, None, 40, None, 80, None, None, 112, None, 160, *[None] * 4],
        kernel=[3, 3, 3, 5, 3, 3, 3, 3, 3, 3, 5, *[3] * 4],
        expansion=expansion,
        ratio=2,
        attention=[
            *("none", "none", "none", "se", "se", "none", "none", "none"),
            *("se", "se", "se", "none", "se", "none", "se"),
        ],
    )


def googlenet(space: Space) -> dict[str, Any]:
    return point(
        space,
        {"width_multiplier": 1, "stem.kernel": 7, "stem.width": 64},
        width=[None, 64, 192, None, 256, 480, None, 512, 512, 512, 528, 832, None, 832, 1024],
        kernel=[3, 1, *[3] * 10, 2, 3, 3],
        share_3x3=modules(1 / 2, 2 / 5, 2 / 5, 7 / 16, 1 / 2, 6 / 11, 5 / 13, 5 / 13, 3 / 8),
        share_large=modules(1 / 8, 1 / 5, 1 / 10, 1 / 8, 1 / 8, 1 / 8, 2 / 13, 2 / 13, 1 / 8),
        share_pool=modules(*[1 / 8] * 6, 2 / 13, 2 / 13, 1 / 8),
        reduce_3x3=modules(3 / 4, 2 / 3, 5 / 11, *[1 / 2] * 6),
        reduce_large=modules(1 / 2, 1 / 3, 1 / 3, 3 / 8, 3 / 8, 1 / 2, 1 / 4, 1 / 4, 3 / 8),
    )


def modules(*values: float) -> list[float | None]:
    """A column that GoogLeNet's nine modules, of fifteen stages, have entries in."""
    column = dict(zip((4, 5, 7, 8, 9, 10, 11, 13, 14), values, strict=True))
    return [column.get(i) for i in range(15)]


WIDER = {"row1": 64 / 20, "row2": 92 / 32, "row3": 92 / 32, "row9": 872 / 144, "row10": 872 / 144}
POINTS: dict[str, tuple[str, Setting]] = {
    "mobilenet_v1_x1_0": ("mobilenet_v1", mobilenet_v1(1)),
    "mobilenet_v1_x0_75": ("mobilenet_v1", mobilenet_v1(0.75)),
    "mobilenet_v1_x0_5": ("mobilenet_v1", mobilenet_v1(0.5)),
    "mobilenet_v1_x0_25": ("mobilenet_v1", mobilenet_v1(0.25)),
    "mobilenet_v2_x1_4": ("mobilenet_v2", mobilenet_v2(1.4)),
    "mobilenet_v2_x1_0": ("mobilenet_v2", mobilenet_v2(1)),
    "mobilenet_v2_x0_75": ("mobilenet_v2", mobilenet_v2(0.75)),
    "mobilenet_v2_x0_5": ("mobilenet_v2", mobilenet_v2(0.5)),
    "mobilenet_v2_x0_35": ("mobilenet_v2", mobilenet_v2(0.35)),
    "mobilenet_v3_large": ("mobilenet_v3", mobilenet_v3_large(1, head=960)),
    "mobilenet_v3_large_x0_75": ("mobilenet_v3", mobilenet_v3_large(0.75, head=720)),
    "mobilenet_v3_small": ("mobilenet_v3_small", mobilenet_v3_small(1, head=576)),
    "mobilenet_v3_small_x0_75": ("mobilenet_v3_small", mobilenet_v3_small(0.75, head=432)),
    "shufflenet_v1_g1_x1_0": ("shufflenet_v1", shufflenet_v1(1, 1)),
    "shufflenet_v1_g2_x1_0": ("shufflenet_v1", shufflenet_v1(2, 1)),
    "shufflenet_v1_g3_x1_0": ("shufflenet_v1", shufflenet_v1(3, 1)),
    "shufflenet_v1_g4_x1_0": ("shufflenet_v1", shufflenet_v1(4, 1)),
    "shufflenet_v1_g8_x1_0": ("shufflenet_v1", shufflenet_v1(8, 1)),
    "shufflenet_v1_g1_x0_5": ("shufflenet_v1", shufflenet_v1(1, 0.5)),
    "shufflenet_v1_g3_x0_5": ("shufflenet_v1", shufflenet_v1(3, 0.5)),
    "shufflenet_v1_g1_x0_25": ("shufflenet_v1", shufflenet_v1(1, 0.25)),
    "shufflenet_v1_g3_x0_25": ("shufflenet_v1", shufflenet_v1(3, 0.25)),
    "shufflenet_v2_x0_5": ("shufflenet_v2", shufflenet_v2(48, 96, 192, head=1024)),
    "shufflenet_v2_x1_0": ("shufflenet_v2", shufflenet_v2(116, 232, 464, head=1024)),
    "shufflenet_v2_x1_5": ("shufflenet_v2", shufflenet_v2(176, 352, 704, head=1024)),
    "shufflenet_v2_x2_0": ("shufflenet_v2", shufflenet_v2(244, 488, 976, head=2048)),
    "squeezenet1_0": ("squeezenet", squeezenet1_0(False)),
    "squeezenet1_0_bypass": ("squeezenet", squeezenet1_0(True)),
    "squeezenet1_1": ("squeezenet1_1", squeezenet1_1),
    "ghostnet_x0_5": ("ghostnet", ghostnet(0.5, head=480)),
    "ghostnet_x1_0": ("ghostnet", ghostnet(1)),
    "ghostnet_x1_3": ("ghostnet", ghostnet(1.3, **WIDER)),
    "googlenet": ("googlenet", googlenet),
}


@pytest.mark.parametrize("network", POINTS)
def test_a_published_network_is_a_point(network):
    name, setting = POINTS[network]
    space = space_of(name)
    found = trace(space.suggest(optuna.trial.FixedTrial(setting(space))))
    assert cost(found) == cost(load(network))
    if network != "shufflenet_v2_x2_0":  # its dropout costs nothing and is not searched
        assert graph_id(found) == graph_id(load(network))


BENCH = Path(os.environ.get("NAS_TEST_DATA", "")) / "nas_bench_macro.csv"
# layers → params, MACs
BENCH_SAMPLE = {
    "00000000": (387_882, 7_713_280),
    "00000001": (791_594, 14_115_328),
    "02000000": (448_298, 22_753_792),
    "11111111": (1_588_874, 53_246_464),
    "12012012": (2_014_602, 67_092_992),
    "21102210": (1_375_466, 58_327_552),
    "22222222": (2_932_586, 105_660_928),
}


def bench_cost(layers: str) -> tuple[int, int]:
    """Params and MACs of a network of NAS-Bench-Macro by its layers, as 01200000."""
    space = space_of("nas_bench_macro").bind(resolution=32, classes=10)
    choices = zip(space.parameters.items(), layers, strict=True)
    found = space.candidate({path: p.values[int(c)] for (path, p), c in choices}).cost
    return found.params, found.macs


@pytest.mark.parametrize("layers", BENCH_SAMPLE)
def test_nas_bench_macro_counts_as_published(layers):
    assert bench_cost(layers) == BENCH_SAMPLE[layers]


@pytest.mark.skipif(not BENCH.is_file(), reason="NAS_TEST_DATA has no nas_bench_macro.csv")
def test_all_of_nas_bench_macro_counts_as_published():
    with BENCH.open() as file:
        rows = {row["arch"]: (int(row["params"]), int(row["macs"])) for row in csv.DictReader(file)}
    assert len(rows) == space_of("nas_bench_macro").size == 3**8
    assert {layers: bench_cost(layers) for layers in rows} == rows


def test_where_left_out_layers_stand_makes_no_difference():
    space = space_of("nas_bench_macro").bind(resolution=32, classes=10)
    assert len({space.candidate(params).id for params in space.settings()}) == 3969


def test_no_published_stage_table_was_forgotten():
    tables = {
        name
        for name, network in NETWORKS.items()
        if isinstance(network.network, Architecture) and not name.endswith("_cifar")
    }
    assert tables - POINTS.keys() == {"mobilenet_v1_embedding"}  # the body of mobilenet_v1_x1_0


ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
NEAREST = re.findall(
    r"\| (\w+) \| ([\d,]+) \| ([\d,]+) \| (\w+), α ([\d.]+), stem (\d+), ([\d× ]+), head (\d+)"
    r"(?:, )?(.*) \| ([\d,]+) \| ([\d,]+) \|",
    PAGE,
)


@pytest.mark.parametrize("row", NEAREST, ids=[row[0] for row in NEAREST])
def test_the_page_of_published_networks_has_the_right_figures(row):
    name, *published, block, alpha, stem, stages, head, settings, params, macs = row
    widths, depths = zip(*(map(int, stage.split("×")) for stage in stages.split()), strict=True)
    once = {"stem.width": int(stem), "head.width": int(head), "resolution_multiplier": 1}
    columns = {"kernel": 3, "expansion": 2, "groups": 1, "ratio": 2, "squeeze": 0.25}
    columns |= {"attention": "none", "activation": "relu", "block": block}
    columns |= {
        key: yaml.safe_load(v) for key, v in map(str.split, filter(None, settings.split(", ")))
    }
    columns |= {"width": list(widths), "depth": list(depths)}
    space = space_of("mobile")
    near = space.candidate(point(space, {**once, "width_multiplier": float(alpha)}, **columns)).cost
    assert [f"{n:,}" for n in (near.params, near.macs)] == [params, macs]
    found = cost(load(name))
    assert [f"{n:,}" for n in (found.params, found.macs)] == published


def test_the_page_of_published_networks_has_every_space():
    assert all(f"`{name}`" in PAGE for name in SPACES)


def test_the_page_of_published_networks_has_the_rows_of_the_benchmark():
    with (ROOT / "benchmarks" / "nearest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == [row[0] for row in NEAREST]
    assert all(f"| {row['nearest']} |" in PAGE for row in rows)


# Suggesting, sampling, walking -------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_suggest_is_architecture(name):
    space = space_of(name)
    for params in points(space, 5):
        trial = optuna.trial.FixedTrial(params)
        assert space.suggest(trial) == space.architecture(params)
        assert trial.distributions == space.distributions()


def test_an_optuna_study_suggests_points():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = space_of("mobile")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    arch = space.suggest(trial)
    assert trial.params.keys() == space.parameters.keys()
    assert arch == space.architecture(trial.params)


def test_size_and_settings():
    settings = list(SMALL.settings())
    assert len(settings) == SMALL.size == 2 * 2 * 2 * 3
    assert len({tuple(params.items()) for params in settings}) == SMALL.size
    assert all(params.keys() == SMALL.parameters.keys() for params in settings)
    assert SMALL.parameters["stages.0.depth"] == Int(1, 2)
    assert SMALL.parameters["stages.1.groups"] == Choice((1, 2, 8))


def test_the_size_of_mobile_is_the_product_of_its_choices():
    stage = 8 * 2 * 4 * 4 * 3 * 3 * 3 * 2 * 3  # families to activations, widths
    assert space_of("mobile").size == 4 * 4 * 3 * 2 * stage**6 * 2 * 4**5


@given(st.integers(), st.sampled_from(SPACES))
def test_a_neighbour_differs_in_one_parameter(seed, name):
    space, rng = space_of(name), random.Random(seed)
    params = space.sample(rng)
    other = space.neighbour(params, rng)
    assert list(other) == list(params)
    assert sum(other[path] != params[path] for path in params) == 1


@pytest.mark.parametrize("name", SPACES)
def test_the_same_seed_draws_the_same_points(name):
    space, again = space_of(name), load_space(name)
    assert list(points(space, 20, seed=1)) == list(points(again, 20, seed=1))
    assert list(points(space, 20, seed=1)) != list(points(space, 20, seed=2))


@pytest.mark.parametrize("metric", ["macs", "params", "memory"])
def test_minimise_finds_the_smallest(metric):
    smallest = min(getattr(SMALL.candidate(params).cost, metric) for params in SMALL.settings())
    found = SMALL.minimise(lambda candidate: getattr(candidate.cost, metric), seed=3)
    assert getattr(found.cost, metric) == smallest


def test_minimise_in_mobile_beats_chance_and_is_deterministic():
    space = space_of("mobile")
    found = space.minimise(lambda candidate: candidate.cost.macs)
    assert found.cost.macs < min(space.candidate(p).cost.macs for p in points(space, 300)) / 2
    assert space.minimise(lambda candidate: candidate.cost.macs).id == found.id


def test_descend_ends_where_no_change_betters():
    space, rng = space_of("tiny").bind(resolution=32), random.Random(0)
    target = 2e5

    def score(candidate: Any) -> float:
        return abs(candidate.cost.macs - target)

    best, params = space.descend(space.sample(rng), score)
    assert best == score(space.candidate(params))
    assert all(
        score(space.candidate({**params, path: value})) >= best
        for path, parameter in space.parameters.items()
        for value in parameter.values
    )


def test_a_setting_that_cannot_be_built_is_never_the_smallest():
    space = space_from("""
stem: {block: conv, width: 8}
stages: [{block: conv, kernel: {choice: [3, 65]}, width: {choice: [8, 16]}, padding: valid}]
head: {head: classifier}
""").bind(resolution=32)
    found = space.minimise(lambda candidate: -candidate.cost.params)
    assert found.params == {"stages.0.kernel": 3, "stages.0.width": 16}


# Which settings are one architecture -------------------------------------------------------------


def uniform(block: str) -> dict[str, Any]:
    """A point of mobile with this block in every stage, of the middle width."""
    space = space_of("mobile")
    values = {path: parameter.values[0] for path, parameter in space.parameters.items()}
    values |= {path: space.parameters[path].values[1] for path in values if ".width" in path}
    values |= {path: 2 for path in values if path.endswith(".depth")}
    values |= {path: block for path in values if path.endswith(".block")}
    return {**values, "width_multiplier": 1, "resolution_multiplier": 1}


def ids(params: dict[str, Any], path: str) -> set[str]:
    space = space_of("mobile")
    values = space.parameters[path].values
    return {space.candidate({**params, path: value}).id for value in values}


INACTIVE = {
    "conv": ("expansion", "ratio", "squeeze"),  # no attention reads squeeze
    "depthwise_separable": ("expansion", "groups", "ratio", "squeeze"),
    "inverted_residual": ("groups", "ratio", "squeeze"),
    "shuffle_v1": ("expansion", "ratio", "squeeze"),
    "shuffle_v2": ("expansion", "groups", "ratio", "squeeze"),
    "fire": ("expansion", "groups", "ratio"),
    "ghost": ("groups", "squeeze"),
    "inception": ("expansion", "groups", "ratio", "squeeze"),
}
KEYS = ("kernel", "expansion", "groups", "ratio", "squeeze", "attention", "activation")


def test_mobile_has_every_family():
    assert set(space_of("mobile").parameters["stages.0.block"].values) == INACTIVE.keys()
    assert {name_of(family) for family in FAMILIES} == INACTIVE.keys() | {"pool", "identity"}


@pytest.mark.parametrize("block", INACTIVE)
def test_parameters_that_nobody_reads_do_not_change_the_id(block):
    params = uniform(block)
    for key in KEYS:
        found = ids(params, f"stages.5.{key}")
        if key in INACTIVE[block]:
            assert len(found) == 1, key
        else:
            assert len(found) == len(space_of("mobile").parameters[f"stages.5.{key}"].values), key


def test_parameters_of_the_whole_network_change_the_id():
    params = uniform("inverted_residual")
    for path in ("width_multiplier", "resolution_multiplier", "stem.width", "head.width"):
        assert len(ids(params, path)) == len(space_of("mobile").parameters[path].values), path
    assert len(ids(params, "stages.2.depth")) == 4
    assert len(ids(params, "stages.2.block")) == 8


def test_widths_that_round_alike_are_one_architecture():
    params = {**uniform("conv"), "width_multiplier": 0.5, "stages.0.width": 12}
    assert len(ids(params, "stages.0.width")) == 2  # 6, 8 and 10 round to 8, 8 and 16


# Widths and resolutions --------------------------------------------------------------------------


def test_alpha_widens_the_head_and_never_narrows_it():
    for alpha, width in ((1, 24), (1.5, 40)):  # 36 is rounded to 40
        arch = SMALL.architecture({**next(SMALL.settings()), "width_multiplier": alpha})
        assert arch.head.width == width
    space = space_of("mobile")
    narrow = space.architecture({**uniform("conv"), "width_multiplier": 0.5, "head.width": 1280})
    assert narrow.head.width == 1280 and narrow.stem.width == 16  # 24 · 0.5, never under 90 %


def test_a_stage_may_keep_the_width_before_it():
    for params in SMALL.settings():
        arch = SMALL.architecture(params)
        assert arch.stages[1].width == arch.stages[0].width


def test_a_default_that_no_block_of_a_stage_reads_makes_no_parameter():
    space = space_from("""
stem: {block: conv, width: 8}
defaults: {block: shuffle_v1, groups: {choice: [1, 2]}, kernel: {choice: [3, 5]}}
stages: [{block: depthwise_separable, width: 8}, {width: 16}]
head: {head: classifier}
""")
    assert set(space.parameters) == {"stages.0.kernel", "stages.1.groups", "stages.1.kernel"}


def test_a_choice_of_one_value_is_no_parameter():
    space = space_from("""
stem: {block: conv, width: {choice: [8]}}
stages: [{block: conv, depth: {int: [2, 2]}, width: 8, groups: {choice: [1, 2]}}]
head: {head: classifier}
""")
    assert set(space.parameters) == {"stages.0.groups"}
    assert space.architecture({"stages.0.groups": 1}).stages[0].depth == 2


NAMED = """
blocks:
  small: {block: ghost, kernel: 3, ratio: 4}
  large: {block: ghost, kernel: 5, ratio: 2, attention: se}
stem: {block: conv, width: 8}
defaults: {block: {choice: [small, large, fire]}, attention: {choice: [none, cbam]}}
stages: [{width: 16}, {width: 24, block: large, expansion: {choice: [2, 3]}}]
head: {head: classifier}
"""


def test_a_space_may_name_blocks_with_settings():
    space = space_from(NAMED).bind(resolution=32)
    assert set(space.parameters) == {"stages.0.block", "stages.0.attention", "stages.1.expansion"}
    params = {"stages.0.block": "small", "stages.0.attention": "cbam", "stages.1.expansion": 3}
    first, second = (stage.block for stage in space.architecture(params).stages)
    assert first == Ghost(kernel=3, ratio=4, attention="cbam")
    assert second == Ghost(kernel=5, ratio=2, attention="se", expansion=3)


def test_what_a_name_settles_is_encoded():
    space = space_from(NAMED).bind(resolution=32)
    encode, start = encoder(space), next(space.settings())
    rows = {encode(space.candidate({**start, "stages.0.block": n}))[1] for n in ("small", "large")}
    assert len(rows) == 2


def test_bind():
    arch = (
        space_of("tiny")
        .bind(resolution=96, classes=7)
        .architecture(next(points(space_of("tiny"), 1)))
    )
    assert arch.input == (3, 96, 96) and arch.classes == 7
    assert space_of("tiny").resolution == 224


@pytest.mark.parametrize(
    ("resolution", "rho", "side"),
    [
        (224, 1, 224),
        (224, 4 / 7, 128),
        (224, 5 / 7, 160),
        (224, 6 / 7, 192),
        (32, 1, 32),
        (28, 1, 32),
        (100, 1, 96),
        (32, 4 / 7, 32),  # never less than 32
        (96, 4 / 7, 64),
        (100, 6 / 7, 96),
    ],
)
def test_the_deployed_side_is_rounded_to_32(resolution, rho, side):
    assert deployed_side(resolution, rho) == side


@pytest.mark.parametrize(
    ("side", "resolution", "proxy", "pixels"),
    [
        (224, 224, 32, 32),
        (192, 224, 32, 28),
        (160, 224, 32, 24),
        (128, 224, 32, 20),
        (224, 224, 48, 48),
        (128, 224, 48, 28),
        (32, 224, 4, 4),  # never less than 4
    ],
)
def test_the_proxy_side_is_rounded_to_4(side, resolution, proxy, pixels):
    assert proxy_side(side, resolution, proxy) == pixels


# Errors ------------------------------------------------------------------------------------------

RIGHT = """\
about: A test.
width_multiplier: {choice: [0.5, 1]}
stem: {block: conv, width: 16, stride: 2}
defaults: {kernel: {choice: [3, 5]}}
stages:
  - {block: {choice: [inverted_residual, ghost]}, width: 16, expansion: {choice: [2, 4]}}
  - {block: conv, depth: {int: [1, 3]}, width: 24, stride: 2, groups: 2}
head: {head: classifier, width: 64}
"""

VALUE = "expected a value, {choice: [a, b]} or {int: [low, high]}, got"
NUMBER = "expected a positive number or {choice: [...]}, got"
INT = "expected a positive int or {choice: [...]}, got"
RANGE = "expected [low, high] with low ≤ high, got"
ATTENTION = "expected 'none', 'se' or 'cbam', got"
ACTIVATION = "expected 'relu', 'relu6', 'hswish' or 'silu', got"
WRONG = {
    # place: what it says: [(what stands in RIGHT, what takes its place, how the message ends)]
    "stages.0.block: unknown block": [
        ("ghost]", "goats]", "'goats'; did you mean ghost?"),
        ("ghost]", "3]", "3; known are"),
    ],
    "head.head: unknown head": [
        ("head: classifier", "head: clasifier", "'clasifier'; did you mean classifier"),
    ],
    "stages.1.group: no such parameter of conv;": [("groups", "group", "did you mean groups?")],
    "stages.1.zzz: no such parameter of conv;": [("groups", "zzz", "known are activation, atten")],
    "head.size: no such parameter of classifier;": [("width: 64", "size: 64", "known are activ")],
    "defaults.kernels: no block of the stages has this parameter;": [
        ("{kernel", "{kernels", "did you mean kernel"),
    ],
    "stages.1.groups: expected a valid integer, got": [
        ("groups: 2", "groups: two", "'two'"),
        ("groups: 2", "groups: 2.5", "2.5"),
        ("groups: 2", "groups: true", "True"),
    ],
    "stages.0.expansion: expected a valid number, got": [("[2, 4]", "[2, four]", "'four'")],
    f"stages.1.attention: {ATTENTION}": [("groups: 2", "attention: sea", "'sea'")],
    f"stages.1.activation: {ACTIVATION}": [
        ("groups: 2", "activation: {choice: [relu, gelu]}", "'gelu'"),
    ],
    "stages.0.expansion.choice: expected a list of values, got": [
        ("[2, 4]", "[]", "[]"),
        ("[2, 4]", "4", "4"),
        ("[2, 4]", "[2, [4]]", "[2, [4]]"),
    ],
    "stages.0.expansion.choice: expected distinct values, got": [
        ("[2, 4]", "[2, 2]", "[2, 2]"),
        ("[2, 4]", "[2, 2.0]", "[2, 2.0]"),
        ("[2, 4]", "[0.5, 1/2]", "[0.5, '1/2']"),
    ],
    f"stages.0.expansion: {VALUE}": [
        ("{choice: [2, 4]}", "{choose: [2, 4]}", "{'choose': [2, 4]}"),
        ("{choice: [2, 4]}", "[2, 4]", "[2, 4]"),
        ("{choice: [2, 4]}", "", "None"),
    ],
    f"stages.1.depth.int: {RANGE}": [
        ("[1, 3]", "[3, 1]", "[3, 1]"),
        ("[1, 3]", "[1, 2, 3]", "[1, 2, 3]"),
        ("[1, 3]", "[1, 2.5]", "[1, 2.5]"),
        ("[1, 3]", "3", "3"),
    ],
    f"stages.1.depth: {INT}": [("[1, 3]", "[0, 3]", "0")],
    f"stages.1.stride: {INT}": [("stride: 2, groups", "stride: 1.5, groups", "1.5")],
    f"divisor: {INT}": [("about:", "divisor: 0.5\nabout:", "0.5")],
    f"stages.1.width: {NUMBER}": [
        ("width: 24", "width: -24", "-24"),
        ("width: 24", "width: wide", "'wide'"),
        ("width: 24", "width: {choice: [same, 24]}", "'same'"),
    ],
    f"stem.width: {NUMBER}": [("width: 16, stride: 2", "width: same", "'same'")],
    f"width_multiplier: {NUMBER}": [("[0.5, 1]", "[0.5, 0]", "0")],
    "stages.1.width is": [("width: 24, ", "", "missing")],
    "stem.block is": [("block: conv, width: 16", "width: 16", "missing")],
    "head.head is": [("head: classifier, ", "", "missing")],
    "defaults: expected a mapping, got": [("{kernel: {choice: [3, 5]}}", "3", "3")],
    "stages.1: expected a mapping, got": [("  - {block: conv", "  - 3\n  - {block: conv", "3")],
    "blocks.conv: expected a name": [
        ("about:", "blocks: {conv: {block: ghost}}\nabout:", "that no block has"),
    ],
    "blocks.b.block: unknown block": [
        ("about:", "blocks: {b: {block: goats}}\nabout:", "'goats'; did you mean ghost?"),
    ],
    "blocks.b.ratios: ghost has no such parameter;": [
        ("about:", "blocks: {b: {block: ghost, ratios: 2}}\nabout:", "did you mean ratio"),
    ],
    "blocks.b: block is": [("about:", "blocks: {b: {kernel: 3}}\nabout:", "missing")],
    "unknown key 'stags';": [("stages:\n", "stags:\n", "did you mean stages?")],
}
CASES = [(*edit, f"{said} {edit[2]}") for said, edits in WRONG.items() for edit in edits]


def message(tmp_path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_space(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(("right", "wrong", "_", "said"), CASES, ids=[case[-1] for case in CASES])
def test_an_error_says_file_place_value_and_what_is_right(tmp_path, right, wrong, _, said):
    assert RIGHT.count(right) == 1
    assert message(tmp_path, RIGHT.replace(right, wrong)).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a mapping, got None"),
        ("- stem\n", "expected a mapping, got ['stem']"),
        (RIGHT.partition("stages:")[0], "stages is missing"),
        (RIGHT.partition("head:")[0], "head is missing"),
        ("stem: {block: conv, width: 8}\nstages: []\nhead: {head: classifier}\n",
         "stages: expected a list of stages, got []"),
        ("stem: {block: conv, width: 8}\nstages: 3\nhead: {head: classifier}\n",
         "stages: expected a list of stages, got 3"),
        ("about: a\nstem: {block: conv\nstages: 3\n", "line 3 "),
        ("about: a\n\tstem: 3\n", "line 2 found character '\\t' that cannot start any token"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_space_is_refused(tmp_path, text, said):
    assert message(tmp_path, text).startswith(said)


def test_the_right_file_is_right(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(RIGHT)
    space = load_space(path)
    assert space.name == "mine" and space.text == RIGHT and space.about == "A test."
    for params in points(space, 20):
        space.candidate(params)


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml: No such file or directory"):
        load_space(tmp_path / "none.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(InputError, match=r"image\.yaml: not a text file"):
        load_space(tmp_path / "image.yaml")


def test_an_unknown_space_names_the_nearest():
    with pytest.raises(InputError, match=r"space 'mobil': no such space.*did you mean mobile"):
        load_space("mobil")
    with pytest.raises(InputError, match=r"space 'qqq': no such space.*known are .*shufflenet_v2"):
        load_space("qqq")
