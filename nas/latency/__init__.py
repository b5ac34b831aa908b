"""Latency on this machine: measured beside a reference network, so that drift cancels."""

from nas.latency.measurement import Latency, calibrate, measure

__all__ = ["Latency", "calibrate", "measure"]
