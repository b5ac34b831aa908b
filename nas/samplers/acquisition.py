"""How much hypervolume a candidate may add to a front. All objectives are losses: less is better.

The region that the front leaves undominated, up to the reference, is cut into disjoint boxes; a
candidate gains the part of each box that it dominates. The expectation over what is not known
exactly is a quadrature. Expected hypervolume improvement: Emmerich, Giannakoglou and Naujoks
2006; by boxes: Hupkens et al. 2015, Yang et al. 2019.
"""

from __future__ import annotations

from itertools import product

import moocore
import numpy as np

from nas.samplers.encoding import Floats

NODES = {0: 1, 1: 8, 2: 4}  # of the quadrature, for each modelled objective; else 3
MARGIN = 0.1  # of the front's range, beyond its worst values


def front_of(losses: Floats) -> Floats:
    """The rows that no other dominates, once each."""
    return np.asarray(losses[moocore.is_nondominated(losses)])


def reference_of(front: Floats) -> Floats:
    """The worst values of the front and a tenth of its range more."""
    worst, span = front.max(axis=0), np.ptp(front, axis=0)
    return np.asarray(worst + MARGIN * np.where(span > 0, span, np.abs(worst) + 1))


def boxes(front: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Lower and upper corners, (boxes, objectives), of what the front leaves undominated.

    Slices along the first objective, whose cross-sections are cut by the others; of two
    objectives a slice is a box.
    """
    front = front[(front < reference).all(axis=1)]
    front = front[np.lexsort(front.T[::-1])]
    cuts = np.unique(front[:, 0])
    lows, highs = np.append(-np.inf, cuts), np.append(cuts, reference[0])
    if len(reference) == 2:
        tops = np.append(reference[1], front[:, 1])
        lower = np.stack([lows, np.full(len(lows), -np.inf)], axis=1)
        return lower, np.stack([highs, tops], axis=1)
    lowers, uppers = [], []
    for low, high in zip(lows, highs, strict=True):
        passed = front[front[:, 0] <= low, 1:]
        inner = boxes(front_of(passed) if len(passed) else passed, reference[1:])
        edge = np.ones((len(inner[0]), 1))
        lowers.append(np.hstack([low * edge, inner[0]]))
        uppers.append(np.hstack([high * edge, inner[1]]))
    return np.vstack(lowers), np.vstack(uppers)


def nodes(modelled: int) -> tuple[Floats, Floats]:
    """Gauss–Hermite nodes (nodes, modelled) of independent normals, and their weights."""
    at, weight = np.polynomial.hermite_e.hermegauss(NODES.get(modelled, 3))
    weight = weight / weight.sum()
    grid = np.array(list(product(at, repeat=modelled)))
    weights = np.array([np.prod(w) for w in product(weight, repeat=modelled)])
    return grid, weights


def expected_gain(losses: Floats, weights: Floats, front: Floats, reference: Floats) -> Floats:
    """Mean gain of candidates whose losses are (nodes, candidates, objectives)."""
    lower, upper = boxes(front, reference)
    gain = np.zeros(losses.shape[1])
    best = losses.min(axis=0)  # whoever gains nothing at best need not be looked at closely
    hopeful = (best < reference).all(axis=1)
    hopeful &= ~(front <= best[:, None]).all(axis=2).any(axis=1)
    for weight, own in zip(weights, losses[:, hopeful], strict=True):
        part = np.ones((len(own), len(lower)))
        for axis in range(own.shape[1]):
            corner = np.maximum(lower[:, axis], own[:, axis, None])
            part *= np.maximum(upper[:, axis] - corner, 0)
        gain[hopeful] += weight * part.sum(axis=1)
    return gain
