"""How a model of a few full trainings ranks all others: proxy_model.csv; the harness is proxy.py.

The search's own model, a Gaussian process on what `nas.encoding` makes of a network, sees one
seed's full training of some random networks and predicts 1,000 others'. Intervals are over 40 draws
of the networks that it sees. `activations` adds that count to the size of a network, which a
network's width and depth tell already. Seconds stay empty: full trainings took their authors hours.

Over mixed families the scores are brief trainings alone, of the 16 networks of proxy_mixed.jsonl,
and the others of the 16 are predicted; "the same others" has what these scores say by themselves.

With a shared network it is `nas.expected`, on the 200 networks that proxy_shared.jsonl has the
losses of, ten draws for each of its seeds; the others of the 200 are predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from proxy import KEYS, Network, counts, networks, tau, write
from proxy_mixed import LOG as MIXED
from proxy_mixed import networks as several
from proxy_mixed import space, unseen
from proxy_shared import LOG

from nas.cost import cost
from nas.encoding import Row, encoder
from nas.expected import FEWEST_TRAININGS, expect, scaled
from nas.records import read_lines
from nas.samplers.surrogate import GaussianProcess, Warp, fit, start
from nas.space import Candidate
from nas.space_file import load_space

DRAWS, SEEN = 40, (5, 10, 20, 40, 80)
SHARED = "epochs=31"  # the lines of proxy_shared.jsonl
BRIEF = "expected, from brief trainings"
SCORED = "expected, from a shared network's losses"


@cache
def encoded(judged: tuple[Network, ...]) -> list[Row]:
    """What the search's model sees of networks."""
    encode = encoder(load_space("nas_bench_macro").bind(resolution=32, classes=10))
    return [encode(Candidate({}, n.arch, cost(n.arch))) for n in judged]


def features(judged: tuple[Network, ...], activations: bool) -> tuple[np.ndarray, np.ndarray]:
    """(networks, columns) of numbers, and the group of each column."""
    rows = encoded(judged)
    size, form = (np.array(group, dtype=float) for group in zip(*rows, strict=True))
    if activations:
        size = np.column_stack([size, np.log2(counts("activations", judged))])
    groups = np.repeat((0, 1), (size.shape[1], form.shape[1]))
    return np.hstack([scaled(size), scaled(form)]), groups


def taus(seen: int, activations: bool) -> Iterator[tuple[float, float]]:
    """τ over all the others and over their better half, for each draw."""
    judged = networks("judge", 1000 + max(SEEN))
    rows, groups = features(judged, activations)
    told = np.array([network.accuracies[0] for network in judged])
    truth = np.array([network.accuracy for network in judged])
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(judged))
        known, others = order[:seen], order[max(SEEN) :]
        values = Warp.fit(told[known])(told[known])
        theta = fit(start(groups), groups, rows[known], values)
        model = GaussianProcess.condition(theta, groups, rows[known], values)
        yield pair(model.predict(rows[others])[0], truth[others])


def pair(found: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """τ over all, and over the better half."""
    best = real >= np.median(real)
    return tau(found, real), tau(found[best], real[best])


def together(seen: int) -> Iterator[tuple[float, float]]:
    """τ as of `taus`, of a shared network's losses and some full trainings."""
    logged = [e for e in read_lines(LOG) if e["way"] == SHARED and e["part"] == "judge"]
    for entry in logged:
        judged = networks("judge", len(entry["loss"]))
        scores = [float(np.exp(-loss)) for loss in entry["loss"]]
        truth = np.array([network.accuracy for network in judged])
        for draw in range(DRAWS // 4):
            order = np.random.default_rng(draw).permutation(len(judged))
            told = {int(i): judged[i].accuracies[0] / 100 for i in order[:seen]}
            found = expect(encoded(judged), scores, told)
            if found:
                yield pair(found.accuracy[order[seen:]], truth[order[seen:]])


def mixed(seen: int, data: str) -> tuple[np.ndarray, np.ndarray]:
    """(draws, 2) as of `taus`: by brief trainings with some long ones, and without."""
    logged = {(e["way"], e["id"]): e for e in read_lines(MIXED) if e["data"] == data}
    archs = [a for a in several(16) if ("truth", a.id) in logged]
    encode = encoder(space())
    rows = [encode(Candidate({}, arch, cost(arch))) for arch in archs]
    truth = np.array([unseen(logged["truth", arch.id]) for arch in archs])
    brief = [logged["alone standard", arch.id]["validation"]["accuracy"] for arch in archs]
    both, alone = [], []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(archs))
        told, others = order[:seen], order[seen:]
        found = expect(rows, brief, {int(i): float(truth[i]) for i in told})
        assert found
        for scores, taken in ((found.accuracy, both), (np.array(brief), alone)):
            taken.append(pair(scores[others], truth[others]))
    return np.array(both), np.array(alone)


def line(seen: int, activations: bool) -> dict[str, Any]:
    name = "prediction, with activations" if activations else "prediction"
    found = np.array(list(taus(seen, activations)))
    return row(f"model of {seen} full trainings", name, found, 1000)


def row(
    way: str, name: str, found: np.ndarray, networks: int, part: str = "judge"
) -> dict[str, Any]:
    """The mean of τ and its interval over draws, (draws, 2)."""
    low, high = np.quantile(found, (0.025, 0.975), axis=0)
    facts = {"way": way, "score": name, "part": part, "networks": networks}
    figures = {}
    for i, key in enumerate(KEYS):
        values = {key: found[:, i].mean(), f"{key}_low": low[i], f"{key}_high": high[i]}
        figures |= {k: round(float(v), 3) for k, v in values.items()}
    return {**facts, **figures}


def main() -> None:
    rows = [line(seen, more) for seen in SEEN for more in (False, True)]
    for seen in (FEWEST_TRAININGS, *SEEN[:-1]):
        rows.append(
            row(f"model of {seen} full trainings", SCORED, np.array([*together(seen)]), 200)
        )
    for data in ("cifar10", "digits"):
        for seen in (FEWEST_TRAININGS, 5, 8):
            for name, found in zip((BRIEF, "the same others"), mixed(seen, data), strict=True):
                way = f"{data}: {seen} long trainings of 16"
                rows.append(row(way, name, found, 16 - seen, data))
    write("model", rows)


if __name__ == "__main__":
    main()
