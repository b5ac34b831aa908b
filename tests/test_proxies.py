"""Scores of untrained networks: by hand where that can be, deterministic, defined everywhere."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from cases import CASES, FAMILIES
from torch import nn

from nas.arch import Architecture, Stage, trace
from nas.blocks import Block, Classifier, ConvBlock, InvertedResidual, PoolBlock, name_of
from nas.errors import InputError
from nas.evaluate import cached_data
from nas.graph import Graph, Tensor, record
from nas.net import build
from nas.proxies import PROXIES, Batch, first_images, naswot, synflow, zen, zero_cost, zico
from nas.proxies.zen import features
from nas.settings import Settings

RESIDUAL = InvertedResidual()
BATCH = first_images(cached_data("digits", None), 16, 20)


def network(block: Block = RESIDUAL, width: int = 16) -> Architecture:
    return Architecture(
        input=(3, 16, 16),
        stem=Stage(ConvBlock(), depth=1, width=16, stride=2),
        stages=(Stage(block, depth=2, width=width, stride=1),),
        head=Classifier(width=32),
        classes=10,
    )


def test_a_batch_is_the_first_images_of_all_classes():
    assert BATCH.x.shape == (20, 3, 16, 16)
    assert torch.bincount(BATCH.y, minlength=10).min() >= 1


@pytest.mark.parametrize("family", FAMILIES, ids=name_of)
def test_every_family_has_every_score(family):
    found = zero_cost(network(family), BATCH)
    assert list(found) == list(PROXIES)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("name", PROXIES)
def test_a_seed_decides_a_score_and_the_random_state_stays(name):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    one, again, other = (zero_cost(network(), BATCH, seed=s, names=[name]) for s in (1, 1, 2))
    assert one == again != other
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", PROXIES)
def test_a_wider_network_scores_higher(name):
    narrow, wide = (zero_cost(network(width=w), BATCH, names=[name])[name] for w in (16, 64))
    assert narrow < wide


def test_an_unknown_score_names_the_nearest():
    with pytest.raises(InputError, match="score 'zenn': no such score; did you mean zen"):
        zero_cost(network(), BATCH, names=["zenn"])


def test_a_score_is_refused_as_an_accuracy():
    with pytest.raises(InputError, match="synflow orders untrained networks and is no accuracy"):
        Settings(objectives=("synflow", "macs"))


def test_what_the_page_shows_runs(capsys):
    page = (Path(__file__).parent.parent / "docs" / "ranking.md").read_text(encoding="utf-8")
    exec(re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1], {})
    assert "synflow" in capsys.readouterr().out


# By hand -----------------------------------------------------------------------------------------


def line(x: Tensor) -> Tensor:
    """Two linear layers after a pool, so that all can be multiplied out."""
    return x.global_pool().linear(4, name="first").linear(3, name="second")


LINE = record((3, 8, 8), line)


def test_synflow_by_hand():
    """R is linear in each layer's weights, so each layer's Σ |θ ∂R/∂θ| is R without biases."""
    module = build(LINE, seed=0)
    first, second = (module.get_submodule(n).linear.weight.abs() for n in ("first", "second"))
    flow = (second @ first).sum().item()
    assert synflow(LINE, BATCH) == pytest.approx(math.log(2 * flow), rel=1e-5)


def test_naswot_by_hand():
    """One ReLU layer of two images: K = [[N, s], [s, N]] where they share s of N units' states."""
    graph = record((3, 16, 16), lambda x: x.conv(4, 3, norm=False))
    two = Batch(BATCH.x[:2], BATCH.y[:2])
    on = build(graph, seed=0)(two.x) > 0
    units, shared = on[0].numel(), int((on[0] == on[1]).sum())
    assert naswot(graph, two) == pytest.approx(math.log(units**2 - shared**2), rel=1e-5)


def test_equal_images_have_no_volume():
    same = Batch(BATCH.x[:1].expand(2, -1, -1, -1), BATCH.y[:2])
    assert naswot(trace(network()), same) == -math.inf


def test_zico_by_hand():
    module = build(LINE, seed=0)
    layers = [module.get_submodule(name).linear.weight for name in ("first", "second")]
    halves = [
        torch.autograd.grad(nn.functional.cross_entropy(module(x), y % 3), layers)
        for x, y in zip(BATCH.x.chunk(2), BATCH.y.chunk(2), strict=True)
    ]
    total = 0.0
    for a, b in zip(*halves, strict=True):
        mean, deviation = (a.abs() + b.abs()) / 2, (a - b).abs() / 2
        total += math.log(float((mean / deviation)[deviation > 0].sum()))
    assert zico(LINE, Batch(BATCH.x, BATCH.y % 3)) == pytest.approx(total, rel=1e-4)


def test_zen_undoes_batch_norm():
    """With the norms' scaling undone it is, but for the norms, the score of the same layers."""
    with_norm = record((3, 16, 16), lambda x: x.conv(8, 3, act=None))
    without = record((3, 16, 16), lambda x: x.conv(8, 3, act=None, norm=False))
    assert zen(with_norm, BATCH) == pytest.approx(zen(without, BATCH), abs=0.2)


@pytest.mark.parametrize("name", [name for name in CASES if "-s1" in name][::12])
def test_features_have_no_sums_and_the_shape_of_the_last_map(name):
    graph = CASES[name]
    found = features(graph)
    assert not any(type(node.layer).__name__ == "Add" for node in found.nodes)
    assert isinstance(found, Graph) and build(found, seed=0)


def test_features_end_before_the_head_pools():
    graph = trace(network(PoolBlock()))
    assert features(graph).output == (32, 8, 8)
