"""Trainings and timings as tasks of Ray, which is imported where a search asks for it only."""

from nas.errors import InputError

try:
    import ray  # noqa: F401
except ImportError:
    raise InputError("--ray: expected Ray; pip install 'nas-explorer[ray]'") from None

from nas.executors.cluster.connection import connected
from nas.executors.cluster.elsewhere import Elsewhere
from nas.executors.cluster.jobs import RayJobs

__all__ = ["Elsewhere", "RayJobs", "connected"]
