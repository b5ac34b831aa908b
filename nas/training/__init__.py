"""Training: one loop, which can stop after any epoch and go on elsewhere, and two recipes for it.

loop.py      Loop: epochs, random states, saving and loading
brief.py     Training: how a search trains its candidates
full.py      FullTraining: how a network is trained to be used
score.py     accuracy and cross-entropy of a module
start.py     `nas.train`: a full training begun, or gone on with
session.py   the training under way, and the files that it writes
trained.py   Trained: reading those files
weights.py   weights to a file, and from one, checked against a module
"""

from nas.training.brief import Training
from nas.training.full import FullTraining
from nas.training.loop import Diverged
from nas.training.score import score

__all__ = ["Diverged", "FullTraining", "Training", "score"]
