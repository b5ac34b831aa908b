"""The published networks: exact costs, and the same network in torch and in ONNX."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from nas.arch import Architecture, graph_id
from nas.blocks import BLOCKS, Block, Embedding, Inception
from nas.cost import cost
from nas.errors import InputError
from nas.graph import Graph, Node, record
from nas.layers import Add, Conv, Multiply
from nas.net import build
from nas.onnx_model import to_onnx
from nas.reference import NETWORKS, load, names, published
from nas.verify import verify

with (Path(__file__).parent / "published.csv").open() as file:
    PUBLISHED = list(csv.DictReader(file))

# Params and MACs at a network's own resolution. Those of tests/published.csv are the literature's
# (`test_published_figures`), as are mobilenet_v1_embedding, mobilenet_v3_large (torchvision),
# the parameters of the other ShuffleNets (their ports), inception_resnet_v2 (its port),
# mobilenet_v1_x1_0_cifar and shufflenet_v2_x1_0_cifar (kuangliu/pytorch-cifar) and the CIFAR forms
# of MobileNetV2 (chenyaofo/pytorch-cifar-models). All others are computed here, and all are equal
# to fvcore's count, layer by layer.
GOLDEN = {
    # name: (params, MACs)
    "squeezenet1_0": (1_248_424, 818_924_576),
    "squeezenet1_0_cifar": (729_034, 52_543_488),
    "squeezenet1_0_bypass": (1_248_424, 818_924_576),
    "squeezenet1_0_bypass_cifar": (729_034, 52_543_488),
    "squeezenet1_1": (1_235_496, 349_151_936),
    "squeezenet1_1_cifar": (727_626, 23_511_040),
    "mobilenet_v1_x1_0": (4_231_976, 568_740_352),
    "mobilenet_v1_x0_75": (2_585_560, 325_400_448),
    "mobilenet_v1_x0_5": (1_331_592, 149_497_088),
    "mobilenet_v1_x0_25": (470_072, 41_030_272),
    "mobilenet_v1_x1_0_cifar": (3_217_226, 46_354_432),
    "mobilenet_v1_x0_75_cifar": (1_824_250, 26_508_288),
    "mobilenet_v1_x0_5_cifar": (823_722, 12_167_168),
    "mobilenet_v1_x0_25_cifar": (215_642, 3_331_072),
    "mobilenet_v2_x1_4": (6_108_776, 582_195_824),
    "mobilenet_v2_x1_0": (3_504_872, 300_774_272),
    "mobilenet_v2_x0_75": (2_636_424, 209_069_792),
    "mobilenet_v2_x0_5": (1_968_680, 97_131_840),
    "mobilenet_v2_x0_35": (1_677_128, 59_285_808),
    "mobilenet_v2_x1_4_cifar": (4_333_706, 170_073_344),
    "mobilenet_v2_x1_0_cifar": (2_236_682, 87_976_448),
    "mobilenet_v2_x0_75_cifar": (1_368_234, 59_310_080),
    "mobilenet_v2_x0_5_cifar": (700_490, 27_969_024),
    "mobilenet_v2_x0_35_cifar": (408_938, 15_611_136),
    "mobilenet_v3_large": (5_483_032, 216_589_760),
    "mobilenet_v3_large_cifar": (4_214_842, 66_459_008),
    "mobilenet_v3_large_x0_75": (3_993_528, 154_560_624),
    "mobilenet_v3_large_x0_75_cifar": (2_725_338, 45_591_168),
    "mobilenet_v3_small": (2_542_856, 56_510_400),
    "mobilenet_v3_small_cifar": (1_528_106, 17_507_328),
    "mobilenet_v3_small_x0_75": (2_041_872, 43_399_344),
    "mobilenet_v3_small_x0_75_cifar": (1_027_122, 13_005_312),
    "shufflenet_v1_g1_x1_0": (1_531_936, 143_078_976),
    "shufflenet_v1_g2_x1_0": (1_733_848, 140_836_512),
    "shufflenet_v1_g3_x1_0": (1_865_728, 137_460_672),
    "shufflenet_v1_g4_x1_0": (1_968_344, 134_339_776),
    "shufflenet_v1_g8_x1_0": (2_434_768, 138_365_952),
    "shufflenet_v1_g1_x0_5": (534_484, 38_517_408),
    "shufflenet_v1_g3_x0_5": (718_324, 37_589_856),
    "shufflenet_v1_g1_x0_25": (209_746, 11_003_184),
    "shufflenet_v1_g3_x0_25": (305_902, 11_009_808),
    "shufflenet_v1_g1_x1_0_cifar": (960_706, 44_546_688),
    "shufflenet_v1_g2_x1_0_cifar": (940_858, 43_743_552),
    "shufflenet_v1_g3_x1_0_cifar": (914_338, 42_590_592),
    "shufflenet_v1_g4_x1_0_cifar": (890_234, 41_531_008),
    "shufflenet_v1_g8_x1_0_cifar": (913_138, 42_703_872),
    "shufflenet_v1_g1_x0_5_cifar": (248_374, 11_490_624),
    "shufflenet_v1_g3_x0_5_cifar": (242_134, 11_126_976),
    "shufflenet_v1_g1_x0_25_cifar": (66_196, 3_049_632),
    "shufflenet_v1_g3_x0_25_cifar": (67_312, 3_021_408),
    "shufflenet_v2_x0_5": (1_366_792, 40_476_448),
    "shufflenet_v2_x1_0": (2_278_604, 144_907_992),
    "shufflenet_v2_x1_5": (3_503_624, 295_759_392),
    "shufflenet_v2_x2_0": (7_393_996, 583_253_464),
    "shufflenet_v2_x0_5_cifar": (352_042, 10_902_016),
    "shufflenet_v2_x1_0_cifar": (1_263_854, 45_002_112),
    "shufflenet_v2_x1_5_cifar": (2_488_874, 94_259_712),
    "shufflenet_v2_x2_0_cifar": (5_365_486, 187_811_200),
    "ghostnet_x0_5": (2_587_292, 42_328_152),
    "ghostnet_x1_0": (5_182_508, 141_150_512),
    "ghostnet_x1_3": (7_358_820, 227_003_256),
    "ghostnet_x0_5_cifar": (1_318_838, 12_153_312),
    "ghostnet_x1_0_cifar": (3_913_790, 42_680_384),
    "ghostnet_x1_3_cifar": (6_089_926, 69_621_120),
    "mobilenet_v1_embedding": (3_338_176, 289_782_272),
    "googlenet": (6_624_904, 1_498_376_192),
    "bn_inception": (11_295_240, 2_032_600_064),
    "inception_v3": (23_834_568, 5_713_216_096),
    "inception_v4": (42_679_816, 12_253_974_624),
    "inception_resnet_v2": (55_843_464, 13_155_794_016),
    "xception": (22_855_952, 8_357_403_496),
}

# The authors' own table of MobileNetV2 (tensorflow/models), million MACs: widths and resolutions
# that no row of published.csv has.
MOBILENET_V2 = {
    # width: {resolution: million MACs}
    "x1_4": {224: 582},
    "x1_3": {224: 509},
    "x1_0": {224: 300, 192: 221, 160: 154, 128: 99, 96: 56},
    "x0_75": {224: 209, 192: 153, 160: 107, 128: 69, 96: 39},
    "x0_5": {224: 97, 192: 71, 160: 50, 128: 32, 96: 18},
    "x0_35": {224: 59, 192: 43, 160: 30, 128: 20, 96: 11},
}

SMALLEST = {
    "bn_inception": 63,
    "googlenet": 31,
    "inception_v3": 75,
    "inception_v4": 75,
    "inception_resnet_v2": 75,
    "squeezenet1_0": 29,
    "squeezenet1_0_bypass": 29,
    "squeezenet1_1": 25,
    "xception": 7,
}
REFUSED = {
    "shufflenet_v1_g2_x0_5": "2 groups do not divide the 25 inner channels of stage 2",
    "shufflenet_v1_g4_x0_5": "4 groups do not divide the 34 inner channels of stage 2",
    "shufflenet_v1_g8_x0_5": "8 groups do not divide the 180 new channels of stage 2",
    "shufflenet_v1_g2_x0_25": "a quarter of stage 2's 50 channels is no whole number",
    "shufflenet_v1_g4_x0_25": "4 groups do not divide the 17 inner channels of stage 2",
    "shufflenet_v1_g8_x0_25": "8 groups do not divide the 90 new channels of stage 2",
    "shufflenet_v1_g5_x1_0": "groups: expected one of 1, 2, 3, 4, 8, got 5",
    "shufflenet_v2_x0_7": "width: expected one of 0.5, 1.0, 1.5, 2.0, got 0.7",
    "mobilenet_v2_x0_0": "expected positive numbers",
}


def per_row(row: dict[str, str]) -> str:
    return f"{row['model']}@{row['resolution']}"


def test_every_network_has_a_golden_cost() -> None:
    assert set(GOLDEN) == set(names()) == set(NETWORKS)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_costs(name: str) -> None:
    total = cost(load(name))
    assert (total.params, total.macs) == GOLDEN[name]


@pytest.mark.parametrize("row", PUBLISHED, ids=per_row)
def test_published_figures(row: dict[str, str]) -> None:
    total = cost(load(row["model"], resolution=int(row["resolution"])))
    rounded = row["figures"] == "rounded"
    assert agree(total.params, row["params"], rounded=rounded)
    assert agree(total.macs, row["macs"], rounded=rounded or "macs rounded" in row["figures"])


def agree(got: int, figure: str, *, rounded: bool) -> bool:
    """Equal, or equal when rounded to as many digits as the figure has; an empty one is unknown."""
    if not figure:
        return True
    digits = len(figure.rstrip("0")) if rounded else len(str(got))
    return float(f"{got:.{digits - 1}e}") == float(figure)


@pytest.mark.parametrize("row", PUBLISHED, ids=per_row)
def test_published_accuracies(row: dict[str, str]) -> None:
    network = published(row["model"])
    if int(row["resolution"]) == network.resolution:
        assert network.top1 == float(row["top1"])


@pytest.mark.parametrize("width", MOBILENET_V2)
def test_the_rule_holds_at_other_widths_and_resolutions(width: str) -> None:
    for resolution, millions in MOBILENET_V2[width].items():
        macs = cost(load(f"mobilenet_v2_{width}", resolution=resolution)).macs
        assert abs(macs / 1e6 - millions) < 1


def test_mobilenet_v3_scales_all_convolutions_and_never_narrows_the_hidden_layer() -> None:
    total = cost(load("mobilenet_v3_large_x0_75"))
    assert agree(total.params, "4000000", rounded=True)  # the authors' table, tensorflow/models
    assert agree(total.macs, "155000000", rounded=True)
    for width, head in {"0_75": (720, 1280), "1_0": (960, 1280), "1_25": (1200, 1600)}.items():
        arch = published(f"mobilenet_v3_large_x{width}").architecture()
        assert (arch.head.width, arch.head.hidden) == head
    assert load("mobilenet_v3_large_x1_0").nodes == load("mobilenet_v3_large").nodes


@pytest.mark.parametrize("name", [name for name in NETWORKS if published(name).architecture()])
def test_an_architecture_survives_yaml(name: str) -> None:
    network = published(name)
    arch = network.architecture()
    assert arch == Architecture.from_dict(arch.to_dict())
    assert arch.id == graph_id(network.graph())
    assert network.architecture(resolution=64, classes=7).input == (3, 64, 64)


def test_an_unknown_name_raises_with_the_nearest() -> None:
    with pytest.raises(InputError, match="'mobilnet_v2_x1_0'; did you mean mobilenet_v2_x1_0"):
        load("mobilnet_v2_x1_0")
    with pytest.raises(InputError, match="did you mean mobilenet_v2_x1_4_cifar"):
        load("mobilenet_v2_cifar")
    with pytest.raises(InputError, match="known are squeezenet1_0, "):
        load("resnet50")


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_rule_does_not_allow_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: .*{REFUSED[name]}"):
        published(name)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_resolution_too_small_raises_with_the_smallest(name: str) -> None:
    smallest = SMALLEST[name]
    load(name, resolution=smallest)
    message = f"{smallest - 1} is too small for its strides, the smallest that works is {smallest}"
    with pytest.raises(InputError, match=message):
        load(name, resolution=smallest - 1)


def test_a_resolution_that_branches_disagree_on_raises_with_the_next() -> None:
    with pytest.raises(InputError, match=r"74 leaves branches of unequal .* works is 95"):
        load("bn_inception", resolution=74)


def test_sizes_must_be_positive() -> None:
    with pytest.raises(InputError, match="resolution: expected a positive int, got 0"):
        load("googlenet", resolution=0)
    with pytest.raises(InputError, match="classes: expected a positive int, got -1"):
        published("mobilenet_v1_x1_0").architecture(classes=-1)


def test_no_torch_is_imported() -> None:
    code = (
        "import nas.reference, sys; nas.reference.load('xception'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on two busy cores wait for each other a hundred times as long as they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_and_onnx_are_the_same_network(name: str) -> None:
    graph = load(name, resolution=max(32, SMALLEST.get(name, 0)), classes=10)
    module = build(graph, seed=0)
    verify(graph, module)
    images = torch.randn(2, *graph.input, generator=torch.Generator().manual_seed(0))
    train(module, images)
    randomize(module, images)
    with torch.inference_mode():
        expected = module.eval()(images).numpy()
    assert expected.std() > 0
    assert np.abs(run_onnx(graph, module, images) - expected).max() <= 1e-4 * expected.std()


def train(module: nn.Module, images: torch.Tensor) -> None:
    """One step; every parameter has a gradient, and the loss is a number."""
    loss = nn.functional.cross_entropy(module(images), torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    torch.optim.SGD(module.parameters(), lr=1e-6).step()


def randomize(module: nn.Module, images: torch.Tensor) -> None:
    """Batch norm statistics around those of `images`, which keeps activations in range."""
    generator = torch.Generator().manual_seed(1)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        module.train()(images)
    for norm in norms:
        mean, var = norm.running_mean, norm.running_var
        # Channels that are constant in two images would be blown up by 1/sqrt(epsilon).
        var.add_(var.mean()).mul_(torch.empty_like(var).uniform_(0.5, 2, generator=generator))
        mean.add_(torch.empty_like(mean).normal_(0, 0.3, generator=generator) * var.sqrt())


def run_onnx(graph: Graph, module: nn.Module, images: torch.Tensor) -> np.ndarray:
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    model = to_onnx(graph, weights, batch=len(images))
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": images.numpy()})[0]


WITH_POINTWISE = [
    cls for cls in BLOCKS.values() if "pointwise" in {field.name for field in fields(cls)}
]


def block_graph(block: Block, width: int, stride: int) -> Graph:
    return record((96, 8, 8), lambda x: block(x, width, stride))


@pytest.mark.parametrize("cls", WITH_POINTWISE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(("width", "stride"), [(96, 1), (96, 2), (144, 2)])
def test_a_ghost_module_takes_the_place_of_any_pointwise_convolution(
    cls: type, width: int, stride: int
) -> None:
    dense, ghost = (block_graph(cls(pointwise=p), width, stride) for p in ("dense", "ghost"))
    assert dense.output == ghost.output
    assert cost(ghost).macs < cost(dense).macs
    assert not {node.path for node in dense.nodes if is_pointwise(node)} & paths(ghost)
    verify(ghost)


def is_pointwise(node: Node) -> bool:
    return isinstance(node.layer, Conv) and node.layer.kernel == (1, 1)


def paths(graph: Graph) -> set[str]:
    return {node.path for node in graph.nodes}


def test_the_residual_form_of_inception() -> None:
    plain, scaled = Inception(), Inception(residual=True, scale=0.2)
    for width, stride in ((96, 2), (128, 1)):  # there is no x to add
        graphs = [block_graph(block, width, stride) for block in (plain, scaled)]
        assert graph_id(graphs[0]) == graph_id(graphs[1])
    graph = block_graph(scaled, 96, 1)
    projection = 96 * 96 + 2 * 96
    assert cost(graph).params == cost(block_graph(plain, 96, 1)).params + projection
    assert Multiply(0.2) in [node.layer for node in graph.nodes]
    verify(graph)


def test_the_embedding_does_not_depend_on_the_classes() -> None:
    network = published("mobilenet_v1_embedding")
    assert cost(network.graph(classes=7)) == cost(network.graph())
    assert network.graph().output == (128, 1, 1)
    assert isinstance(network.architecture().head, Embedding)


def test_simple_bypass_adds_around_four_fires() -> None:
    adds = [node for node in load("squeezenet1_0_bypass").nodes if isinstance(node.layer, Add)]
    assert len(adds) == 4
