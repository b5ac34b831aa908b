"""Layers, roofline, guidelines, what `nas profile` prints of them, and every figure of cost.md."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Cli
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas.analysis import Machine, count_layers, guidelines, intensity, machine, roofline, totals
from nas.analysis.guidelines import fragments, pointwise_access
from nas.analysis.layers import int8_bytes, kind_of
from nas.analysis.roofline import roof_ms
from nas.analysis.roofline_plot import STYLES, plot_roofline
from nas.analysis.times import layer_times
from nas.arch import trace
from nas.blocks import Fire
from nas.blocks.attention import attend
from nas.blocks.ghostnet import ghost_module
from nas.cost import BYTES, cost, layer_cost
from nas.errors import InputError
from nas.graph import Graph, Tensor, concat, record
from nas.layers import Conv, Shape
from nas.net import build
from nas.reference import load, names, published
from nas.verify import fvcore_macs

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/cost.md").read_text()
NETWORKS = [name for name in names() if "cifar" not in name]
QUICK = "mobilenet_v2_x0_35"
MACHINE = Machine("a processor", 1, 100.0, 20.0, 80.0, "2026-01-01", "by hand")
MEASURE = machine.measure_machine
BASE = ["name", "resolution", "params", "macs", "activations", "memory_bytes"]
SEVERAL = (
    "mobilenet_v1_x0_5",
    "mobilenet_v2_x1_0",
    "shufflenet_v1_g3_x1_0",
    "shufflenet_v2_x1_0",
    "ghostnet_x1_0",
    "squeezenet1_1",
    "googlenet",
)


@pytest.fixture(autouse=True)
def known_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, none measures roofs but where it says so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "measure_machine", lambda: MACHINE)


def every_kind(x: Tensor) -> Tensor:
    """A convolution of every kind, two branches, attention."""
    y = x.conv(8, 3, act="hswish").depthwise(3).conv(16, groups=4, act="silu")
    y = concat(y, y.conv(8), name="join").shuffle(2)
    y = attend(y, "se") + y.conv(24, act=None)
    return y.pool("max", 3, 2).global_pool().linear(16, act="relu").linear(10)


TOY = record((3, 32, 32), every_kind)


# Layers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up(name: str) -> None:
    graph = load(name)
    layers, whole = count_layers(graph), cost(graph)
    assert sum(layer.params for layer in layers) == whole.params
    assert sum(layer.macs for layer in layers) == whole.macs
    assert sum(layer.activations for layer in layers) == whole.activations
    assert max(layer.memory_bytes for layer in layers) == whole.memory
    assert sum(layer.traffic_bytes for layer in layers) == whole.traffic


def test_intensity_counts_two_operations_a_mac() -> None:
    layer = count_layers(record((16, 8, 8), lambda x: x.conv(32, norm=False)))[0]
    moved = 4 * (16 * 64 + 16 * 32 + 32 * 64)
    assert (layer.macs, layer.traffic_bytes) == (16 * 32 * 64, moved)
    assert layer.intensity == 2 * layer.macs / moved
    assert intensity(0, 0) is None


def test_kinds() -> None:
    kinds = {node.path: kind_of(node.layer) for node in TOY.nodes}
    assert [kinds[path] for path in ("conv", "depthwise", "conv_1", "conv_2")] == [
        "standard",
        "depthwise",
        "grouped",
        "pointwise",
    ]
    assert (kinds["join"], kinds["shuffle"], kinds["add"]) == ("movement",) * 2 + ("element-wise",)
    assert (kinds["pool"], kinds["linear"]) == ("pooling", "linear")
    assert set(kinds.values()) <= set(STYLES)


def test_int8_counts_a_byte_a_weight_and_four_a_bias() -> None:
    graph = record((8, 4, 4), lambda x: x.conv(16, 3).global_pool().linear(5).norm())
    assert int8_bytes(graph) == (8 * 16 * 9 + 4 * 16) + (16 * 5 + 4 * 5) + 4 * 10


# Guidelines --------------------------------------------------------------------------------------


def values(graph: Graph) -> list[float]:
    return [rule.value for rule in guidelines(graph)]


def test_balance_is_best_at_equal_channels() -> None:
    assert pointwise_access(64, 64, 7, 7) == (64 * 2 * 49 + 64 * 64,) * 2
    access, least = pointwise_access(16, 256, 7, 7)  # the MACs of 64 → 64
    assert access == 49 * (16 + 256) + 16 * 256
    assert least == pointwise_access(64, 64, 7, 7)[1]


def test_worst_of_balance_is_named_with_its_bytes() -> None:
    rule = guidelines(load("mobilenet_v2_x1_0"))[0]
    assert rule.worst[0].path == "stages.1.0.expand"
    access, least = pointwise_access(16, 96, 112, 112)
    assert rule.worst[0].value == round(BYTES * (access - least))


def test_grouping_writes_more_than_a_dense_convolution_of_the_same_macs() -> None:
    grouped = record((32, 8, 8), lambda x: x.conv(64, groups=4, norm=False))
    dense = record((32, 8, 8), lambda x: x.conv(16, norm=False))
    assert cost(grouped).macs == cost(dense).macs
    rule = guidelines(grouped)[1]
    extra = count_layers(grouped)[0].traffic_bytes - count_layers(dense)[0].traffic_bytes
    assert (rule.value, rule.also["extra_bytes"]) == (1.0, extra)


def test_fragmentation_is_layers_over_their_longest_chain() -> None:
    assert values(record((8, 8, 8), lambda x: x.conv(8).conv(8).conv(8)))[2] == 1
    rule = guidelines(record((8, 8, 8), lambda x: concat(x.conv(8), x.conv(8).conv(8), x)))[2]
    assert (rule.value, rule.also["layers"], rule.also["longest_chain"]) == (1.5, 3, 2)


def test_a_shortcut_without_layers_is_no_parallel_path() -> None:
    assert values(record((8, 8, 8), lambda x: x + x.conv(8, name="a").conv(8, name="b")))[2] == 1


def test_fragments_are_the_blocks() -> None:
    found = [part for part in fragments(load("shufflenet_v2_x1_0")) if part.layers > 1]
    assert [part.path for part in found[:2]] == ["stages.1.0", "stages.1.1"]
    assert (found[0].layers, found[0].chain) == (5, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_fragments_keep_every_layer(name: str) -> None:
    graph, parts = load(name), list(fragments(load(name)))
    assert sum(part.layers for part in parts) == guidelines(graph)[2].also["layers"]
    assert all(part.layers >= part.chain > 0 for part in parts if part.layers)
    assert all(value >= 0 for value in values(graph))


def test_elementwise_bytes() -> None:
    graph = record((8, 8, 8), lambda x: x + x.conv(8, norm=False))
    add, conv = 3 * 512, 2 * 512 + 64
    assert values(graph)[3] == add / (add + conv)


# Roofline ----------------------------------------------------------------------------------------


def test_machine_is_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.this_machine() == MACHINE
    monkeypatch.setattr(machine, "measure_machine", lambda: pytest.fail("measured again"))
    assert machine.this_machine() == MACHINE
    kept = json.loads(machine.cache_file().read_text())
    assert list(kept) == [f"{machine.cpu_name()}, 1 thread"]


@pytest.mark.parametrize("text", ["{", "[]", '{"%s, 1 thread": {"peak": 1}}'])
def test_a_broken_cache_file_is_named(text: str) -> None:
    path = machine.cache_file()
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("%s", machine.cpu_name()))
    with pytest.raises(InputError, match=r"roofline\.json: .*delete the file"):
        machine.this_machine()


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert machine.cache_file().is_absolute()


def test_roof() -> None:
    assert MACHINE.ridge == 5
    assert [MACHINE.roof(x) for x in (1, 5, 50)] == [20, 100, 100]
    assert MACHINE.seconds(macs=50, traffic=1) == pytest.approx(1e-9)
    assert MACHINE.seconds(macs=1, traffic=20) == pytest.approx(1e-9)


def test_times_cover_all_layers_but_fused_ones() -> None:
    times = layer_times(TOY, runs=3)
    paths = [node.path for node in TOY.nodes[1:]]
    assert set(times.layers) <= set(paths)
    assert {"conv", "depthwise", "conv_1", "linear", "linear_1"} <= set(times.layers)
    assert times.total >= sum(times.layers.values()) > 0


def test_bounds_and_attained_rates() -> None:
    found = roofline(TOY, runs=3, machine=MACHINE)
    for point, layer in zip(found.points, count_layers(TOY), strict=True):
        if layer.intensity is not None:
            assert point.bound == ("compute" if layer.intensity >= 5 else "memory")
        if point.ms:
            assert point.gflops == pytest.approx(2 * layer.macs / point.ms / 1e6)
    assert sum(share.time for share in found.shares) == pytest.approx(1)
    assert sum(share.macs for share in found.shares) == pytest.approx(1)
    assert found.roof_ms == pytest.approx(roof_ms(count_layers(TOY), MACHINE))


def test_figure_of_every_kind() -> None:
    row: dict[str, Any] = {"name": "toy", "resolution": 32}
    figure = plot_roofline(row | {"roofline": roofline(TOY, 3, MACHINE).to_dict()})
    legend = figure.axes[0].get_legend()
    assert legend is not None
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[:5] == ["standard", "pointwise", "depthwise", "grouped", "linear"]


def test_measuring_a_machine() -> None:
    found = MEASURE(seconds=0, memory=2**20, cache=2**14)
    assert min(found.peak, found.bandwidth, found.cache) > 0
    assert "onnxruntime" in found.how


# nas profile -------------------------------------------------------------------------------------


def test_json_without_flags_has_the_base_keys_alone(cli: Cli) -> None:
    assert list(json.loads(cli("profile", QUICK, "--json").out)[0]) == BASE


def test_flags_add_keys(cli: Cli) -> None:
    flags = ("--layers", "--guidelines", "--roofline", "roof.png")
    found = json.loads(cli("profile", QUICK, "--resolution", 64, *flags, "--json").out)
    assert list(found[0])[: len(BASE)] == BASE
    assert {"layers", "guidelines", "roofline", "traffic_bytes", "intensity"} <= set(found[0])
    assert [rule["name"] for rule in found[0]["guidelines"]] == ["G1", "G2", "G3", "G4"]
    assert len(found[0]["layers"]) == len(found[0]["roofline"]["layers"])
    assert Path("roof.png").stat().st_size > 0


def test_tables(cli: Cli) -> None:
    flags = ("--layers", "--guidelines", "--roofline", "roof.svg")
    out = cli("profile", QUICK, "--resolution", 64, *flags).out
    for shown in ("FLOP/byte", "live", "bound", "total", "G4", "stages.1.0.expand", "GB/s"):
        assert shown in out
    assert "10 of 10" in out  # sums, all bound by memory; dropout is gone at inference


def test_comparison_has_networks_as_columns(cli: Cli) -> None:
    out = cli("profile", "--compare", "squeezenet1_1", QUICK, "--guidelines").out
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert lines["metric"].split() == ["metric", "squeezenet1_1", QUICK]
    assert "1,235,496" in lines["params"]
    assert {"size, int8", "peak activation memory", "G1 channel balance"} <= set(lines)


def test_comparison_as_json_is_a_list_of_networks(cli: Cli) -> None:
    found = json.loads(cli("profile", "--compare", "squeezenet1_1", QUICK, "--json").out)
    assert [row["name"] for row in found] == ["squeezenet1_1", QUICK]
    assert found[1]["int8_bytes"] == int8_bytes(load(QUICK))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--compare", QUICK], "--compare: expected two networks or more"),
        ([QUICK, "--roofline", "roof.doc"], "--roofline 'roof.doc': expected a .png"),
        ([QUICK, "squeezenet1_1", "--roofline", "a.png"], "--roofline: expected one network"),
    ],
)
def test_bad_flags_are_one_sentence(cli: Cli, words: list[str], sentence: str) -> None:
    outcome = cli("profile", *words)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


# docs/cost.md ------------------------------------------------------------------------------------

MAP = 56
LAYERS: dict[str, tuple[Shape, Callable[[Tensor], Tensor]]] = {
    "standard": ((64, MAP, MAP), lambda x: x.conv(128, 3, norm=False)),
    "grouped, g = 4": ((64, MAP, MAP), lambda x: x.conv(128, 3, groups=4, norm=False)),
    "depthwise": ((128, MAP, MAP), lambda x: x.depthwise(3, norm=False)),
    "pointwise": ((64, MAP, MAP), lambda x: x.conv(128, norm=False)),
    "depthwise separable": ((64, MAP, MAP), lambda x: x.depthwise(3, norm=False).conv(128)),
    "Ghost, s = 2, d = 3": ((64, MAP, MAP), lambda x: ghost_module(x, 128)),
    "Fire, s₁ = 16, e₁ = e₃ = 64": ((64, MAP, MAP), lambda x: Fire()(x, 128, 1)),
}


# The formulas of the page, written out a second time.
WEIGHTS = {
    "standard": 3**2 * 64 * 128,
    "grouped, g = 4": 3**2 * 64 * 128 // 4,
    "depthwise": 3**2 * 128,
    "pointwise": 64 * 128,
    "depthwise separable": 64 * (3**2 + 128),
    "Ghost, s = 2, d = 3": 64 * 64 + (2 - 1) * 64 * 3**2,
    "Fire, s₁ = 16, e₁ = e₃ = 64": 64 * 16 + 16 * 64 + 9 * 16 * 64,
}


@pytest.mark.parametrize("name", LAYERS)
def test_formulas(name: str) -> None:
    graph = record(*LAYERS[name])
    assert weights(graph) == WEIGHTS[name]
    assert cost(graph).macs == WEIGHTS[name] * MAP * MAP


def weights(graph: Graph) -> int:
    return sum(node.layer.weights for node in graph.nodes if isinstance(node.layer, Conv))


def formulas() -> Iterator[str]:
    for name, (size, layers) in LAYERS.items():
        graph = record(size, layers)
        whole, moved = cost(graph), totals(graph)
        counts = f"{weights(graph):,} | {whole.macs:,} | {moved['traffic_bytes']:,}"
        yield f"| {name} | {counts} | {moved['intensity']:.1f} |"


def measured() -> Iterator[str]:
    """The rows of the benchmark's CSV as the page shows them."""
    with (ROOT / "benchmarks/macs_vs_latency.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "four families"]
    for row in rows:
        if row["network"] == "kendall_tau":
            keys = ("macs", "params", "activations", "traffic_bytes", "operators", "roof_ms")
            yield f"| **τ with latency** | {' | '.join(row[key] for key in keys)} | |"
        elif row["network"] != "p_value":
            counts = (int(row[key]) / 1e6 for key in ("macs", "params", "activations"))
            cells = [
                *(f"{count:.1f}" for count in counts),
                f"{int(row['traffic_bytes']) / 1e6:.1f}",
            ]
            cells += [row["operators"], f"{float(row['roof_ms']):.1f}"]
            yield f"| {row['network']} | {' | '.join(cells)} | {float(row['latency_ms']):.1f} |"


def within_a_family() -> str:
    """τ of MACs and latency at four widths of MobileNetV2."""
    with (ROOT / "benchmarks/macs_vs_latency.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "one family"]
    return next(row["macs"] for row in rows if row["network"] == "kendall_tau")


def ruled() -> Iterator[str]:
    for name in SEVERAL:
        g1, g2, g3, g4 = guidelines(load(name))
        moved = (g4.also["movement_share"], g4.also["depthwise_share"])
        cells = [f"{g1.value:.2f}", f"{g2.value:.1%}", f"{g3.value:.2f}", f"{g4.value:.1%}"]
        yield f"| {name} | {' | '.join([*cells, *(f'{share:.1%}' for share in moved)])} |"


@pytest.mark.parametrize("row", [*formulas(), *measured(), *ruled()])
def test_rows_of_the_page(row: str) -> None:
    assert row in PAGE


MOBILENET = load("mobilenet_v2_x1_0")


def strideless() -> Graph:
    """MobileNetV2 whose stages never take their strides."""
    arch = published("mobilenet_v2_x1_0").architecture()
    assert arch is not None
    return trace(replace(arch, stages=tuple(replace(s, stride=1) for s in arch.stages)))


class Averager(nn.Module):
    """A network that returns its input's average instead of its head's scores."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.body(x)
        return x.mean((2, 3))


def fvcore_total(module: nn.Module, size: Shape) -> int:
    counted = FlopCountAnalysis(module.eval(), torch.zeros(1, *size))
    return int(counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def executed_flops(module: nn.Module, size: Shape) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *size))
    return int(counter.get_total_flops())


def test_a_grouped_convolution_that_lost_a_factor_of_two() -> None:
    graph = record((3, 65, 65), lambda x: x.conv(6, 11, groups=3, padding=0, norm=False))
    whole = cost(graph)
    assert graph.output == (6, 55, 55)
    assert (whole.params, whole.macs) == (726, 2_196_150)
    flops = 2 * whole.macs + 6 * 55 * 55
    assert (flops, flops // 2) == (4_410_450, 2_205_225)
    assert {"726", "2,196,150", "4,410,450", "2,205,225"} <= set(re.findall(r"[\d,]*\d", PAGE))


def test_conventions_of_three_counters() -> None:
    module = build(MOBILENET)
    size = MOBILENET.input
    norms = 2 * sum(
        node.shape[0] * node.shape[1] * node.shape[2]
        for node in MOBILENET.nodes
        if isinstance(node.layer, Conv) and node.layer.norm
    )
    pooling = fvcore_total(nn.AdaptiveAvgPool2d(1), (1280, 7, 7))
    assert (cost(MOBILENET).macs, norms, pooling) == (300_774_272, 13_356_224, 62_720)
    assert fvcore_total(module, size) == 300_774_272 + 13_356_224
    assert executed_flops(module, size) == 2 * 300_774_272 == 601_548_544


def test_a_network_that_returns_its_inputs_average() -> None:
    module = Averager(build(MOBILENET))
    assert sum(p.numel() for p in module.parameters()) == cost(MOBILENET).params == 3_504_872
    assert fvcore_macs(module, MOBILENET.input) == 0
    assert executed_flops(module, MOBILENET.input) == 601_548_544
    assert not module(torch.zeros(2, 3, 32, 32)).requires_grad


def test_strides_that_are_never_applied() -> None:
    lost = cost(strideless())
    assert lost.params == cost(MOBILENET).params
    assert (lost.macs, round(lost.macs / cost(MOBILENET).macs)) == (27_469_629_440, 91)


def known_numbers() -> set[str]:
    """Every number with a comma or a point that the page may hold."""
    rows = " ".join([*formulas(), *measured(), *ruled()])
    exact = [726, 2_196_150, 4_410_450, 2_205_225, 300_774_272, 314_193_216, 13_356_224, 62_720]
    exact += [601_548_544, 27_469_629_440, 3_504_872, int8_bytes(MOBILENET)]
    exact += [4 * 3_504_872, weights(MOBILENET) + 1_280_000, 18_056]
    shown = {f"{number:,}" for number in exact}
    linear = count_layers(MOBILENET)[-1]
    error = sqrt(2 * (2 * 6 + 5) / (9 * 6 * (6 - 1)))  # of Kendall's τ of six without relation
    shown |= {f"{linear.intensity:.1f}", f"{error:.2f}", within_a_family()}
    return shown | set(NUMBER.findall(rows))


NUMBER = re.compile(r"\d+(?:,\d{3})+|\d+\.\d+")


def test_the_depthwise_layers_that_the_page_explains() -> None:
    layers = {layer.path: layer for layer in count_layers(load("shufflenet_v2_x1_0"))}
    depthwise = layers["stages.1.1.depthwise"]
    assert depthwise.shape[0] == 58
    assert depthwise.intensity == pytest.approx(2.2, abs=0.1)


def test_the_sums_that_the_page_explains() -> None:
    biases = [node.layer for node in MOBILENET.nodes if isinstance(node.layer, Conv)]
    assert sum(layer.outputs for layer in biases) + 1000 == 18_056
    assert weights(MOBILENET) + 1_280_000 + 4 * 18_056 == int8_bytes(MOBILENET)
    assert 300_774_272 + 13_356_224 + 62_720 == 314_193_216
    assert layer_cost(MOBILENET, MOBILENET.nodes[-1]).macs == 1_280_000


def test_no_number_of_the_page_goes_unchecked() -> None:
    text = re.sub(r"arXiv:\d+\.\d+|https?://\S+|SqueezeNet 1\.\d|MobileNetV2 1\.0", "", PAGE)
    assert set(NUMBER.findall(text)) <= known_numbers()
