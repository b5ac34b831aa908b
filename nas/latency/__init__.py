"""Latency: measured here beside a reference network, or estimated for any device from its table."""

from nas.latency.estimator import LatencyEstimator
from nas.latency.measurement import Latency, calibrate, measure
from nas.latency.table import DeviceTable

__all__ = ["DeviceTable", "Latency", "LatencyEstimator", "calibrate", "measure"]
