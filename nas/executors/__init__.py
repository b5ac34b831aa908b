"""Where trainings run: one small interface, so that the search does not know."""

from nas.executors.all_of import all_of
from nas.executors.base import ATTEMPTS, Begun, Epoch, Executor, Job, Outcome, Say, Watch, train
from nas.executors.serial import Serial

__all__ = [
    "ATTEMPTS",
    "Begun",
    "Epoch",
    "Executor",
    "Job",
    "Outcome",
    "Say",
    "Serial",
    "Watch",
    "all_of",
    "train",
]
