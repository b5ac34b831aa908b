"""The block families: shapes, legality, and the rounding of widths. No torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from math import gcd
from typing import Any, get_args

import pytest
from cases import FAMILIES
from hypothesis import assume, given
from hypothesis import strategies as st

from nas.arch import graph_id
from nas.blocks import (
    BLOCKS,
    HEADS,
    Block,
    Classifier,
    ConvBlock,
    ConvClassifier,
    DepthwiseSeparable,
    Embedding,
    Fire,
    Ghost,
    Head,
    Identity,
    Inception,
    InvertedResidual,
    PoolBlock,
    ShuffleV1,
    ShuffleV2,
    attend,
    block,
    legal_groups,
    name_of,
    round_width,
    split_width,
)
from nas.blocks.attention import Attention
from nas.blocks.base import snake_case
from nas.blocks.ghostnet import ghost_module
from nas.cost import cost
from nas.graph import Graph, record
from nas.layers import Activation, Conv, Layer, Pool

SEARCHED = [family for family in FAMILIES if not isinstance(family, Identity | PoolBlock)]
WIDTHS = (8, 16, 24, 32, 40, 80, 112, 240)


def graph_of(block: Block, inputs: int, width: int, stride: int = 1, side: int = 15) -> Graph:
    return record((inputs, side, side), partial(block, width=width, stride=stride))


def layer_at(graph: Graph, path: str) -> Layer:
    return next(node.layer for node in graph.nodes if node.path == path)


def paths(graph: Graph) -> list[str]:
    return [node.path for node in graph.nodes[1:]]


# Every family, everywhere ------------------------------------------------------------------------


def variants(family: Block) -> list[Block]:
    """The family with each attention and activation that it takes."""
    names = {field.name for field in fields(family)}
    options: dict[str, tuple[Any, ...]] = {
        "attention": get_args(Attention),
        "activation": get_args(Activation),
    }
    known = {name: values for name, values in options.items() if name in names}
    return [replace(family, **dict(zip(known, v, strict=True))) for v in product(*known.values())]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("family", SEARCHED, ids=name_of)
def test_every_variant_keeps_its_promise(family, stride):
    side = -(-15 // stride)
    for variant, inputs, width in product(variants(family), WIDTHS, WIDTHS):
        graph = graph_of(variant, inputs, width, stride)
        assert graph.output == (width, side, side)
        acts = {node.layer.act for node in graph.nodes if isinstance(node.layer, Conv)}
        assert variant.activation in acts


@pytest.mark.parametrize("family", SEARCHED, ids=name_of)
def test_attention_costs_parameters(family):
    plain, se, cbam = (
        cost(graph_of(replace(family, attention=attention), 16, 32))
        for attention in ("none", "se", "cbam")
    )
    assert plain.params < se.params < cbam.params
    assert plain.macs < se.macs < cbam.macs


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_a_block_is_data(family):
    assert hash(replace(family)) == hash(family) and replace(family) == family
    assert isinstance(family, Block)


@given(
    st.sampled_from([ConvBlock, ShuffleV1]),
    st.integers(1, 16),
    st.integers(1, 30),
    st.integers(1, 30),
    st.sampled_from([1, 2]),
)
def test_groups_are_legal_for_any_widths(cls, groups, inputs, width, stride):
    inputs, width = 8 * inputs, 8 * width
    graph = graph_of(cls(groups=groups), inputs, width, stride)
    assert graph.output[0] == width
    for node in graph.nodes:
        if isinstance(node.layer, Conv) and node.layer.groups not in (1, node.layer.inputs):
            assert groups % node.layer.groups == 0


def test_a_layer_left_out_is_nothing_or_a_projection():
    assert paths(graph_of(Identity(), 16, 16)) == []
    for width, stride in ((24, 1), (16, 2)):
        conv = layer_at(graph_of(Identity(), 16, width, stride), "conv")
        assert (conv.kernel, conv.norm, conv.act) == ((1, 1), True, None)


# Convolutions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "inputs", "width", "taken"), [
    (4, 16, 24, 4), (8, 24, 40, 8), (8, 12, 40, 4), (3, 16, 24, 1), (8, 18, 27, 1), (6, 16, 24, 2),
])  # fmt: skip
def test_a_grouped_layer_takes_the_gcd(groups, inputs, width, taken):
    assert legal_groups(groups, inputs, width) == gcd(groups, inputs, width) == taken
    conv = layer_at(graph_of(ConvBlock(groups=groups), inputs, width), "conv")
    assert conv.groups == taken


def test_a_convolution_without_norm_has_a_bias():
    conv = layer_at(graph_of(ConvBlock(norm=False), 16, 24), "conv")
    assert conv.bias and not conv.norm
    assert graph_of(ConvBlock(padding="valid"), 16, 24).output == (24, 13, 13)


# Depthwise, mobile, ghost ------------------------------------------------------------------------


def test_depthwise_separable():
    graph = graph_of(DepthwiseSeparable(kernel=5, attention="se"), 16, 24, 2)
    assert paths(graph)[0] == "depthwise" and paths(graph)[-1] == "pointwise"
    assert cost(graph_of(DepthwiseSeparable(), 16, 24)).macs == (16 * 9 + 16 * 24) * 15 * 15
    wide = layer_at(graph_of(DepthwiseSeparable(depth_multiplier=3), 16, 24), "depthwise")
    assert (wide.outputs, wide.groups) == (48, 16)


@pytest.mark.parametrize(("width", "stride", "adds"), [(16, 1, 1), (24, 1, 0), (16, 2, 0)])
def test_an_inverted_residual_adds_where_it_can(width, stride, adds):
    graph = graph_of(InvertedResidual(), 16, width, stride)
    assert paths(graph)[:3] == ["expand", "depthwise", "project"]
    assert paths(graph).count("add") == adds
    assert layer_at(graph, "expand").outputs == 96
    assert layer_at(graph, "project").act is None


def test_an_inverted_residual_expands_where_there_is_something_to_expand():
    assert "expand" not in paths(graph_of(InvertedResidual(expansion=1), 16, 24))
    graph = graph_of(InvertedResidual(expansion=184 / 80), 80, 80)
    assert layer_at(graph, "expand").outputs == 184


def test_the_inverted_residuals_attention_is_mobilenet_v3s():
    block = InvertedResidual(attention="se", activation="hswish", expansion=4)
    graph = graph_of(block, 40, 40)
    reduce, expand = layer_at(graph, "se.reduce"), layer_at(graph, "se.expand")
    assert (reduce.inputs, reduce.outputs) == (160, 40)
    assert (reduce.bias, reduce.norm, reduce.act) == (True, False, "relu")
    assert expand.act == "hard_sigmoid"
    assert paths(graph).index("depthwise") < paths(graph).index("se.pool")


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [8, 23, 24, 50])
def test_a_ghost_module_has_its_width(ratio, width):
    graph = record((16, 9, 9), lambda x: ghost_module(x, width, ratio=ratio))
    assert graph.output[0] == width
    intrinsic = -(-width // ratio)
    assert layer_at(graph, "ghost.primary").outputs == intrinsic
    if ratio > 1:
        assert layer_at(graph, "ghost.cheap").outputs == intrinsic * (ratio - 1)
    assert ("ghost.slice" in paths(graph)) == (intrinsic * ratio != width)


def test_ghosts_shortcut_is_projected_where_stride_or_width_change():
    assert "shortcut.project" not in paths(graph_of(Ghost(), 16, 16, 1))
    changed, strided = graph_of(Ghost(), 16, 24, 1), graph_of(Ghost(), 16, 16, 2)
    assert "shortcut.project" in paths(changed) and "depthwise" not in paths(changed)
    assert "shortcut.project" in paths(strided) and "depthwise" in paths(strided)


# Shuffle -----------------------------------------------------------------------------------------


def test_shuffle_v1_adds_at_stride_1_and_joins_at_stride_2():
    keep, join = graph_of(ShuffleV1(), 24, 24), graph_of(ShuffleV1(), 24, 48, 2)
    assert "add" in paths(keep) and "concat" not in paths(keep)
    assert "concat" in paths(join) and "add" not in paths(join)
    assert layer_at(join, "expand").outputs == 24  # the rest is the pooled input's


def test_shuffle_v1_takes_the_form_of_stride_2_where_the_width_grows_at_stride_1():
    def kinds(stride: int) -> list[tuple[str, type]]:
        graph = graph_of(ShuffleV1(), 24, 48, stride)
        return [(n.path, type(n.layer)) for n in graph.nodes[1:]]

    assert kinds(1) == kinds(2)
    assert layer_at(graph_of(ShuffleV1(), 24, 48, 1), "shortcut.pool") == Pool(
        "avg", 3, 1, 1, False, True
    )


@pytest.mark.parametrize(("width", "stride"), [(16, 1), (16, 2), (24, 2)])
def test_shuffle_v1_projects_the_shortcut_where_the_width_does_not_grow(width, stride):
    graph = graph_of(ShuffleV1(), 24, width, stride)
    assert layer_at(graph, "shortcut.project").outputs == width
    assert "add" in paths(graph) and "concat" not in paths(graph)


def test_shuffle_v1_keeps_the_first_layer_dense_where_its_input_is_narrow():
    first = graph_of(ShuffleV1(groups=4, group_first=False), 24, 240, 2)
    then = graph_of(ShuffleV1(groups=4, group_first=False), 240, 240)
    assert layer_at(first, "reduce").groups == 1 and "shuffle" not in paths(first)
    assert layer_at(then, "reduce").groups == 4 and "shuffle" in paths(then)


def test_shuffle_v2_splits_at_stride_1_and_sees_all_at_stride_2():
    keep, strided, wider = (
        graph_of(ShuffleV2(), 24, width, stride) for width, stride in ((24, 1), (24, 2), (48, 1))
    )
    assert paths(keep)[:2] == ["keep", "take"]
    assert layer_at(keep, "reduce").inputs == 12
    assert layer_at(strided, "reduce").inputs == layer_at(wider, "reduce").inputs == 24
    assert "shortcut.project" in paths(strided) and "shortcut.project" in paths(wider)


def test_shuffle_v2_refuses_an_odd_width():
    with pytest.raises(ValueError, match="shuffle_v2 needs an even width, but got width=25"):
        graph_of(ShuffleV2(), 24, 25)


# Fire and Inception ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Fire(), Inception()], ids=name_of)
def test_a_module_of_branches_pools_first_at_stride_2(family):
    graph = graph_of(family, 16, 32, 2)
    assert graph.nodes[1].layer == Pool("max", 3, 2, 1, False, True)
    assert not isinstance(graph_of(family, 16, 32, 1).nodes[1].layer, Pool)


def test_fire():
    graph = graph_of(Fire(), 96, 128)
    shapes = {path: layer_at(graph, path).outputs for path in paths(graph)[:3]}
    assert shapes == {"squeeze": 16, "expand_1x1": 64, "expand_3x3": 64}
    assert all(n.layer.norm for n in graph.nodes if isinstance(n.layer, Conv))
    old = graph_of(Fire(norm=False), 96, 128)
    assert all(n.layer.bias and not n.layer.norm for n in old.nodes if isinstance(n.layer, Conv))


@pytest.mark.parametrize(("width", "stride", "adds"), [(16, 1, 1), (24, 1, 0), (16, 2, 0)])
def test_fires_bypass(width, stride, adds):
    assert paths(graph_of(Fire(bypass=True), 16, width, stride)).count("add") == adds


def test_inceptions_branches_add_up_and_the_first_takes_the_rest():
    graph = graph_of(Inception(), 192, 256)
    outputs = {
        path: layer_at(graph, path).outputs for path in paths(graph) if path.startswith("branch")
        and isinstance(layer_at(graph, path), Conv)
    }  # fmt: skip
    assert outputs == {
        "branch_1x1": 64,
        "branch_3x3.reduce": 64,
        "branch_3x3.conv": 128,
        "branch_large.reduce": 16,
        "branch_large.conv": 32,
        "branch_pool.conv": 32,
    }


def test_inceptions_branches_reduce_by_shares_of_their_own():
    graph = graph_of(Inception(kernel=3, reduce_3x3=3 / 4, reduce_large=1 / 2), 192, 256)
    reduced = [layer_at(graph, f"branch_{branch}.reduce").outputs for branch in ("3x3", "large")]
    assert reduced == [96, 16]  # of 128 and 32, as in GoogLeNet's module 3a


def test_inception_refuses_shares_that_leave_no_1x1_branch():
    with pytest.raises(ValueError, match=r"leave nothing for the 1x1 branch: 1\.05 in all"):
        graph_of(Inception(share_3x3=0.8), 192, 256)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_large_branch_sees_its_kernel_in_every_form(kernel):
    def receptive(large: str) -> int:
        graph = graph_of(Inception(kernel=kernel, large=large), 64, 64)
        convs = [
            n.layer for n in graph.nodes if n.path.startswith("branch_large.")
            and isinstance(n.layer, Conv)
        ]  # fmt: skip
        return 1 + sum(conv.kernel[0] - 1 for conv in convs)

    assert {receptive(large) for large in ("square", "stacked", "factorized")} == {kernel}


@pytest.mark.parametrize(("width", "stride", "adds"), [(64, 1, 1), (32, 1, 0), (64, 2, 0)])
def test_inceptions_residual(width, stride, adds):
    graph = graph_of(Inception(residual=True, scale=0.2), 64, width, stride)
    assert paths(graph).count("add") == paths(graph).count("multiply") == adds


# Attention ---------------------------------------------------------------------------------------


def test_cbam_counts_its_shared_layers_once_in_params_and_twice_in_macs():
    found = cost(record((16, 9, 9), lambda x: attend(x, "cbam", 0.5)))
    shared, spatial = 16 * 8 + 8 * 16, 2 * 49
    assert found.params == shared + 8 + 16 + spatial + 2
    assert found.macs == 2 * shared + spatial * 81


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid", "clamp"])
def test_the_gate_of_se_is_a_choice(gate):
    graph = record((16, 9, 9), lambda x: attend(x, "se", gate=gate, divisor=4))
    assert layer_at(graph, "se.expand").act == gate
    assert layer_at(graph, "se.reduce").outputs == 4


# Heads and pools ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "params"),
    [
        (Classifier(), 16 * 10 + 10),
        (Classifier(width=32), 16 * 32 + 64 + 32 * 10 + 10),
        (Classifier(width=32, hidden=20), 16 * 32 + 64 + 32 * 20 + 20 + 20 * 10 + 10),
        (ConvClassifier(), 16 * 10 + 10),
    ],
)
def test_heads_end_in_scores(head, params):
    graph = record((16, 7, 7), lambda x: head(x, 10))
    assert graph.output == (10, 1, 1) and cost(graph).params == params


def test_an_embedding_reads_no_classes():
    graphs = [record((16, 7, 7), lambda x, n=n: Embedding(width=32)(x, n)) for n in (2, 1000)]
    assert [graph.output for graph in graphs] == [(32, 1, 1)] * 2
    assert cost(graphs[0]).params == 16 * 32 + 32


def test_a_pool_keeps_its_width():
    assert graph_of(PoolBlock("avg"), 16, 16, 2).output == (16, 8, 8)
    with pytest.raises(ValueError, match=r"a pool keeps its 16 channels, but got width=24"):
        graph_of(PoolBlock(), 16, 24)


# Widths ------------------------------------------------------------------------------------------


def make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """As it stands in tensorflow/models, research/slim/nets/mobilenet/mobilenet.py."""
    if min_value is None:
        min_value = divisor
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    # Make sure that round down does not go down by more than 10%.
    if new_v < 0.9 * v:
        new_v += divisor
    return int(new_v)


@given(st.floats(0.01, 5000), st.sampled_from([1, 2, 4, 8, 16]))
def test_widths_round_as_tensorflows_do(width, divisor):
    rounded = round_width(width, divisor)
    assert rounded == make_divisible(width, divisor)
    assert rounded % divisor == 0 and rounded >= divisor and rounded >= 0.9 * width
    assert round_width(rounded, divisor) == rounded


@pytest.mark.parametrize(
    ("width", "rounded"), [(1, 8), (11, 16), (12, 16), (19, 24), (20, 24), (22.4, 24), (36, 40)]
)
def test_round_width(width, rounded):
    assert round_width(width) == rounded


shares = st.lists(st.floats(0.01, 1), min_size=1, max_size=6).map(tuple)


@given(st.integers(1, 2000), shares)
def test_a_split_adds_up_and_leaves_no_branch_empty(width, shares):
    assume(width >= len(shares))
    parts = split_width(width, shares)
    assert sum(parts) == width and len(parts) == len(shares)
    assert all(part >= 1 for part in parts)


@given(st.integers(1, 200), shares)
def test_a_split_is_in_steps_of_8_where_each_branch_has_two(steps, shares):
    assume(steps >= 2 * len(shares))
    assert all(part % 8 == 0 for part in split_width(8 * steps, shares))


@given(st.integers(20, 500), st.lists(st.floats(0.2, 1), min_size=2, max_size=4).map(tuple))
def test_a_split_is_near_its_shares(steps, shares):
    width, total = 8 * steps, sum(shares)
    for part, share in zip(split_width(width, shares), shares, strict=True):
        assert abs(part - width * share / total) < 8


@given(st.integers(1, 200), shares, st.floats(0.1, 10))
def test_a_split_reads_shares_as_proportions(steps, shares, factor):
    assume(8 * steps >= len(shares))
    again = split_width(8 * steps, tuple(factor * share for share in shares))
    parts = split_width(8 * steps, shares)
    assert sum(abs(a - b) for a, b in zip(parts, again, strict=True)) <= 16  # a tie may fall anew


def test_a_split_refuses_what_cannot_be_split():
    assert split_width(4, (1, 1, 1, 1)) == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="a width of 3 is too small for 4 branches"):
        split_width(3, (1, 1, 1, 1))


# The registry ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride)


@dataclass
class Thawed:
    def __call__(self, x, width, stride):
        return x.conv(width, 3, stride)


def test_names_are_those_of_yaml():
    assert {name for name, cls in BLOCKS.items() if cls.__module__.startswith("nas.")} == {
        *("conv", "depthwise_separable", "inverted_residual", "shuffle_v1", "shuffle_v2"),
        *("fire", "ghost", "inception", "pool", "identity"),
    }
    assert {"classifier", "conv_classifier", "embedding"} <= HEADS.keys()
    assert name_of(ShuffleV2()) == "shuffle_v2" and name_of(Embedding()) == "embedding"
    assert snake_case("MyOwnBlock2") == "my_own_block2"
    assert isinstance(Classifier(), Head)


def test_registering(monkeypatch):
    for name in ("plain", "mine"):
        monkeypatch.setitem(BLOCKS, name, Plain)  # removed after the test
        monkeypatch.delitem(BLOCKS, name)
    assert block(Plain) is Plain and BLOCKS["plain"] is Plain
    assert block(Plain) is Plain  # again, as when a notebook's cell runs twice
    assert block(name="mine")(Plain) is Plain and BLOCKS["mine"] is Plain


def test_what_cannot_be_registered_is_told():
    for cls in (Thawed, dataclass(frozen=True)(type("Empty", (), {}))):
        with pytest.raises(TypeError, match=rf"{cls.__name__} must be a frozen dataclass with __"):
            block(cls)
    with pytest.raises(ValueError, match=r"a block 'conv' is already registered: nas.blocks"):
        block(name="conv")(Plain)
    assert BLOCKS["conv"] is ConvBlock


def test_equal_settings_are_one_network():
    assert graph_id(graph_of(ConvBlock(groups=3), 16, 24)) == graph_id(
        graph_of(ConvBlock(), 16, 24)
    )
