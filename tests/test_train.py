"""Brief trainings and their recipe: they learn, repeat to the bit, and fail in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import RECIPE

from nas.arch import Architecture, Stage, trace
from nas.blocks import Classifier, ConvBlock, DepthwiseSeparable, Embedding
from nas.errors import InputError
from nas.evaluate import Task, cached_data, evaluate, proxy_images, proxy_module
from nas.net import build
from nas.recipe import Recipe
from nas.reference import published
from nas.scores import standard_error
from nas.training import Diverged, Training, score

DATA = cached_data("digits", None)
SMALL = Architecture(
    input=(3, 64, 64),
    stem=Stage(ConvBlock(), depth=1, width=8, stride=2),
    stages=(Stage(DepthwiseSeparable(), depth=1, width=16, stride=2),),
    head=Classifier(dropout=0.1),
    classes=10,
)


def task(recipe: Recipe = RECIPE, **changes) -> Task:
    return Task("digits", None, DATA.id, replace(recipe, **changes), resolution=64)


# Trainings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", [SMALL, published("mobilenet_v2_x0_35").architecture(64, 10)])
def test_a_seed_decides_a_training_to_the_bit(arch):
    first, again = (replace(evaluate(arch, task(), seed=3), seconds=0) for _ in range(2))
    other = replace(evaluate(arch, task(), seed=4), seconds=0)
    assert first == again != other


def test_weights_are_equal_to_the_bit():
    images, _ = proxy_images(task(), 16)
    one, two = (proxy_module(SMALL, task(), 10, seed=1) for _ in range(2))
    for module in (one, two):
        Training(module, images, DATA, RECIPE, seed=1).advance(RECIPE.epochs)
        torch.rand(3)  # the random state of others must not matter
    states = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)


def test_a_training_leaves_torchs_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    evaluate(replace(SMALL, head=Classifier()), task(), seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_small_network_learns_digits():
    told = []
    recipe = Recipe(epochs=6, proxy_resolution=16, learning_rate=0.2)
    arch = replace(SMALL, head=Classifier(), stages=(Stage(ConvBlock(), 2, 32, 2),))
    result = evaluate(arch, task(recipe), 0, lambda epoch, loss: told.append((epoch, loss)))
    assert told == list(enumerate(result.curve))
    assert result.curve[-1] < 0.7 * result.curve[0]
    assert result.accuracy > 0.5
    assert (result.validation_size, len(result.curve)) == (359, 6)
    assert result.cross_entropy > 0 and result.seconds > 0


@pytest.mark.parametrize(
    ("size", "steps"), [(100, 5), (110, 5), (20, 1), (7, 1)], ids=lambda value: str(value)
)
def test_an_epoch_is_whole_batches(size, steps, monkeypatch):
    images, _ = proxy_images(task(subset=size), 16)
    module = build(trace(SMALL), seed=0)
    seen = []
    module.register_forward_hook(lambda module, x, y: seen.append(len(y)))
    Training(module, images, DATA, replace(RECIPE, subset=size), seed=0).advance(1)
    assert seen == [min(20, size)] * steps


@pytest.mark.parametrize("learning_rate", [1e9, 1e30])
def test_a_training_that_diverges_says_so(learning_rate):
    with pytest.raises(Diverged, match=r"the (loss became|validation loss is) (nan|inf)"):
        evaluate(SMALL, task(learning_rate=learning_rate, subset=40), seed=0)


def test_biases_and_batch_norm_do_not_decay():
    images, _ = proxy_images(task(), 16)
    module = build(trace(SMALL), seed=0)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    heavy = replace(RECIPE, learning_rate=1e-6, weight_decay=1e5, momentum=0.0)
    Training(module, images, DATA, heavy, seed=0).advance(heavy.epochs)
    for name, parameter in module.named_parameters():
        kept = torch.allclose(parameter, before[name], rtol=1e-3, atol=1e-4)
        assert kept == (parameter.ndim == 1), name


def test_score_by_hand():
    """A network that always answers 3 with certainty p has the share of threes right."""
    _, validation = proxy_images(task(), 16)
    logits = torch.zeros(10)
    logits[3] = 2.0

    class Three(torch.nn.Module):
        def forward(self, x):
            return logits.expand(len(x), 10)

    accuracy, cross_entropy, error = score(Three(), validation, DATA)
    share = float((validation.y == 3).float().mean())
    expected = float(torch.logsumexp(logits, 0)) - 2 * share
    assert accuracy == pytest.approx(share)
    assert cross_entropy == pytest.approx(expected, rel=1e-5)
    assert error == pytest.approx(2 * standard_error(share, len(validation)), rel=1e-5)


# The proxy ---------------------------------------------------------------------------------------


def test_an_embedding_learns_through_a_classifier():
    arch = replace(SMALL, head=Embedding(width=32))
    module = proxy_module(arch, task(), 10, seed=0)
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    recipe = Recipe(epochs=4, proxy_resolution=16, subset=400, learning_rate=0.1)
    assert evaluate(arch, task(recipe), seed=0).accuracy > 0.2
    first, again = (replace(evaluate(arch, task(), seed=3), seconds=0) for _ in range(2))
    assert first == again


def test_stem_stride_1_keeps_more_of_the_map():
    maps = []
    for stride in (None, 1, 2):
        module = proxy_module(SMALL, task(stem_stride=stride), 10, seed=0)
        module.get_submodule("stem.conv").register_forward_hook(
            lambda module, x, y: maps.append(y.shape[-1])
        )
        module(torch.zeros(2, 3, 16, 16))
    assert maps == [8, 16, 8]
    assert evaluate(SMALL, task(stem_stride=1), seed=0) != evaluate(SMALL, task(), seed=0)


@pytest.mark.parametrize(("width", "channels"), [(1.0, (8, 16)), (0.5, (8, 8)), (2.0, (16, 32))])
def test_a_proxy_may_be_thinner(width, channels):
    module = proxy_module(SMALL, task(width=width), 10, seed=0)
    stem, block = (module.get_submodule(n) for n in ("stem.conv", "stages.0.0.pointwise.conv"))
    assert (stem.conv.out_channels, block.out_channels) == channels
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


def test_the_subset_holds_the_classes_in_their_proportions():
    images, validation = proxy_images(task(subset=100), 16)
    assert (len(images), len(validation)) == (100, 359)
    assert images.x.shape[1:] == validation.x.shape[1:] == (1, 16, 16)
    counts = torch.bincount(images.y, minlength=10)
    assert int(counts.min()) >= 8 and int(counts.max()) <= 12


def test_a_task_is_known_by_what_an_accuracy_depends_on():
    here = task()
    assert here.id == replace(here, data="other/name", data_dir="x").id
    others = [task(epochs=2), replace(here, data_id="x"), replace(here, resolution=32)]
    assert len({here.id, *(other.id for other in others)}) == 4


# Recipes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "recipe: unknown key 'epoch'; did you mean epochs?"),
        ({"speed": 3}, "recipe: unknown key 'speed'; known are epochs, batch"),
        ([1], "recipe: expected a mapping, got [1]"),
        (None, "recipe: expected a mapping, got None"),
        ({"epochs": 0}, "recipe: epochs: expected a number above zero, got 0"),
        ({"epochs": 1.5}, "recipe.epochs: expected a valid integer, got 1.5"),
        ({"epochs": "many"}, "recipe.epochs: expected a valid integer, got 'many'"),
        ({"epochs": True}, "recipe.epochs: expected a valid integer, got True"),
        ({"augment": "yes"}, "recipe.augment: expected a valid boolean, got 'yes'"),
        ({"batch": 1}, "recipe: batch: batch norm needs 2 images or more, got 1"),
        ({"subset": -1}, "recipe: subset: expected a number above zero"),
        ({"proxy_resolution": 0}, "recipe: proxy_resolution: expected a number above zero"),
        ({"learning_rate": 0.0}, "recipe: learning_rate: expected a number above zero"),
        ({"learning_rate": float("nan")}, "recipe: learning_rate: expected a number above zero"),
        ({"learning_rate": float("inf")}, "recipe: learning_rate: expected a number above zero"),
        ({"momentum": 1.0}, "recipe: momentum: expected 0 up to 1, got 1.0"),
        ({"label_smoothing": -0.1}, "recipe: label_smoothing: expected 0 up to 1, got -0.1"),
        ({"weight_decay": -1.0}, "recipe: weight_decay: expected 0 or more, got -1.0"),
        ({"width": 0.0}, "recipe: width: expected a number above zero, got 0.0"),
        ({"stem_stride": 3}, "recipe: stem_stride: expected 1 or 2, got 3"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(settings, message):
    with pytest.raises(InputError) as error:
        Recipe.from_dict(settings)
    assert str(error.value).startswith(message)


def test_a_recipe_reads_from_a_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("epochs: 3\nlearning_rate: 1e-3\nweight_decay: 0\nstem_stride: 1\n")
    expected = Recipe(epochs=3, learning_rate=1e-3, weight_decay=0.0, stem_stride=1)
    assert Recipe.from_yaml(path) == expected
    path.write_text("epochs: three")
    with pytest.raises(InputError, match=r"recipe\.yaml: recipe\.epochs: .*got 'three'"):
        Recipe.from_yaml(path)


def test_a_recipe_with_other_values():
    assert RECIPE.but(epochs=None, batch=8) == replace(RECIPE, batch=8)
    with pytest.raises(InputError, match="epochs"):
        RECIPE.but(epochs=0)
