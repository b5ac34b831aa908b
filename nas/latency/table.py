"""A device's table: an estimator fitted to networks that were timed there, and whose it is.

device.json holds it, with a checksum. An estimate of it is a `Latency` whose `source` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nas.arch import trace
from nas.errors import InputError
from nas.graph import Graph
from nas.latency.device import Device
from nas.latency.estimator import Estimate, LatencyEstimator
from nas.latency.measurement import Latency
from nas.latency.measurements import Measurements
from nas.latency.sealed import read_sealed, write_sealed

KIND = "device table"


@dataclass(frozen=True, slots=True)
class DeviceTable:
    """Latencies of one device by estimate; `reference_ms` is their unit, as `calibrate` has it."""

    device: Device
    reference_ms: float
    versions: Mapping[str, str]
    estimator: LatencyEstimator

    @classmethod
    def fit(cls, found: Measurements) -> DeviceTable:
        """The table of measured networks; raises InputError for too few of them."""
        networks, ms = zip(*found.medians, strict=True) if found.medians else ((), ())
        estimator = LatencyEstimator.fit([trace(arch) for arch in networks], ms)
        return cls(found.device, found.reference_ms, found.versions, estimator)

    def latency(self, graph: Graph) -> Latency:
        """An estimate; `noisy` where the network has a kind of kernel that no measured one had."""
        found = as_latency(self.estimator.predict(graph), self.device, self.reference_ms)
        return replace(found, noisy=bool(self.estimator.unseen(graph)))

    def save(self, path: str | Path) -> None:
        """Write device.json."""
        write_sealed(
            path,
            KIND,
            {
                **self.device.to_dict(),
                "reference_ms": self.reference_ms,
                "versions": dict(self.versions),
                "estimator": self.estimator.to_dict(),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> DeviceTable:
        """Read device.json; raises InputError where it was cut or altered."""
        data = read_sealed(path, KIND)
        device = Device.from_dict(data, str(path))
        try:
            estimator = LatencyEstimator.from_dict(data["estimator"])
            return cls(device, float(data["reference_ms"]), data["versions"], estimator)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"{path}: no {KIND}: {error!r}") from None

    def check(self, path: str | Path, wanted: Device) -> None:
        """Raise InputError where the table is of another device than `wanted`."""
        if difference := self.device.difference(wanted):
            raise InputError(
                f"{path}: a table of another device ({difference}); --force-table takes it all "
                "the same, for estimates alone"
            )


def summary(table: DeviceTable) -> dict[str, Any]:
    """What a person wants to know of a table."""
    estimator = table.estimator
    return {
        **table.device.to_dict(),
        "reference_ms": table.reference_ms,
        "networks": estimator.networks,
        "kinds": len(estimator.rates.kinds),
    }


def as_latency(estimate: Estimate, device: Device, reference_ms: float) -> Latency:
    """An estimate in the form of a measurement, whose `source` tells them apart."""
    return Latency(
        latency_ms=estimate.ms,
        low=estimate.low,
        high=estimate.high,
        raw_ms=estimate.ms,
        ratio=estimate.ms / reference_ms,
        reference_ms=reference_ms,
        runs=0,
        cpu_ms=estimate.ms,
        backend=device.backend,
        threads=device.threads,
        cpu=device.cpu,
        noisy=False,
        source="estimated",
    )
