"""`nas.train`: what is asked for, checked; a training begun, or gone on with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from nas.arch import Architecture
from nas.blocks import import_blocks
from nas.data import load_data
from nas.errors import InputError
from nas.networks import Network, find_network, run_of
from nas.recipe import FullRecipe
from nas.records import check_free, stamp
from nas.settings import check_device
from nas.training.session import Say, Session
from nas.training.trained import Settings, Trained
from nas.training.weights import read_weights


def train(
    network: str | Architecture,
    *,
    data: str | None = None,
    data_dir: str | Path | None = None,
    resolution: int | None = None,
    recipe: FullRecipe | None = None,
    device: str = "cpu",
    seed: int = 0,
    init: str | Path | None = None,
    blocks: Sequence[str] = (),
    out: str | Path | None = None,
    say: Say = lambda line: None,
) -> Trained:
    """Train a network fully, and look at the test part once, at the end.

    `network`: a published name, a .yaml file, results/NAME:NUMBER, whose data are the default, or
    an architecture; `resolution`: pixels, instead of its own; `init`: a .safetensors file of
    weights to begin with, or the folder of a run whose shared network has them; `out`: the folder,
    by default trained/<name>-<time>; `say` is told a line an epoch. Raises InputError before
    anything is written, Diverged where the loss is not finite.
    """
    check_device(device)
    name = network if isinstance(network, str) else network.id
    run = run_of(name)
    asked = run.info["settings"] if run else {}
    blocks = (*asked.get("blocks", ()), *blocks)
    import_blocks(blocks)
    if data is None:
        data, data_dir = asked.get("data"), data_dir or asked.get("data_dir")
    side = find_network(network, resolution).resolution
    if data is None:
        raise InputError(f"--data: {name} is of no run, so that its data have to be named")
    images = load_data(data, data_dir, size=side)
    found = find_network(network, side, len(images.classes))
    settings = Settings(
        network=name,
        resolution=side,
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        recipe=(recipe or FullRecipe()).but(threads=_threads(recipe)),
        device=device,
        seed=seed,
        init=None if init is None else str(init),
        blocks=blocks,
    )
    folder = Path(out) if out else default_folder(name)
    check_free(folder)
    start = None if init is None else _start(Path(init), found)
    return Session(folder, settings, found, images, say, start).begin()


def _start(path: Path, network: Network) -> dict[str, torch.Tensor]:
    """The weights to begin with; raises InputError."""
    if not path.is_dir():
        return read_weights(path)
    from nas.shared.scoring import part_of  # only where it is asked for

    if network.architecture is None:
        raise InputError(f"--init {path}: {network.name} is no architecture of a search space")
    return part_of(path, network.architecture)


def resume(path: str | Path, say: Say = lambda line: None) -> Trained:
    """Go on with a training where its last whole epoch ended; raises as `train`."""
    trained = Trained(path)
    if trained.result:
        return trained
    settings = trained.settings
    import_blocks(settings.blocks)
    data = load_data(settings.data, settings.data_dir, size=settings.resolution)
    if data.id != trained.info["data_id"]:
        raise InputError(f"{path}: the data {settings.data} have changed since it was begun")
    return Session(trained.path, settings, trained.network, data, say).go_on()


def _threads(recipe: FullRecipe | None) -> int:
    """Those of torch are fixed when a training begins, so that it ends as it began."""
    return (recipe and recipe.threads) or torch.get_num_threads()


def default_folder(name: str) -> Path:
    """trained/<name>-<time>, the name of results/tiny:12 being tiny-12, of my/net.yaml net."""
    slug = re.sub(r"[^\w.-]+", "-", re.sub(r"\.ya?ml$", "", Path(name).name))
    return Path("trained") / f"{slug}-{stamp()}"
