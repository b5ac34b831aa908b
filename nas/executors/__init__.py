"""Where trainings run: one small interface, so that the search does not know."""

from nas.executors.base import Executor, Job, Outcome, Watch, train
from nas.executors.serial import Serial

__all__ = [
    "Executor",
    "Job",
    "Outcome",
    "Serial",
    "Watch",
    "train",
]
