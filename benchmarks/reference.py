"""The small runs in results/reference that the notebooks show: `python benchmarks/reference.py`.

Two searches of reference.yaml, three short stages of every block family, on Fashion-MNIST, four
epochs of 1,000 images a network: `searched` by the default sampler with rungs, beside published
networks, and `random`, which speaks for the space. Ten minutes on one core. roofline.json is what
`nas profile RUN:KNEE --roofline FILE --json` says of the knee of `searched`.
"""

from __future__ import annotations

import json
from pathlib import Path

import nas
from nas.networks import find_network
from nas.pick import candidates, pick
from nas.recipe import Recipe
from nas.show import profile

OUT = Path("results/reference")
SETTINGS = {
    "space": "benchmarks/reference.yaml",
    "data": "fashion-mnist",
    "budget": ("40M-flops",),
    "trials": 28,
    "confirm": 0,
    "recipe": Recipe(epochs=4, subset=1000, learning_rate=0.05),
}
BASELINES = ("mobilenet_v2_x0_35", "shufflenet_v2_x0_5", "mobilenet_v3_small_x0_75")


def main() -> None:
    run = nas.search(**SETTINGS, out=OUT / "searched", rungs=(1, 2), baselines=BASELINES)
    nas.search(**SETTINGS, out=OUT / "random", sampler="random")
    knee = pick(candidates([run]), run.budget, run.cost, "knee")
    assert knee
    (found,) = profile([find_network(knee.network)], roofline=True)
    (OUT / "roofline.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
