"""Where the latencies of a search come from: timed here or on a node, or estimated by a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.budget import Budget
from nas.errors import InputError
from nas.executors.execution import Place
from nas.gate import Gate, Measure
from nas.graph import Graph
from nas.latency import DeviceTable, Latency, calibrate, measure
from nas.latency.device import Device
from nas.prior import Clock
from nas.records import TABLE, Trial
from nas.settings import Settings
from nas.space_table import space_table


class Latencies:
    """What tells the latency of a network, in a new search or one that `began` in a folder.

    Those of two devices are never mixed: where `device` is not the one that times networks, all are
    estimates of the `table`. Raises InputError where a run that goes on was timed on another
    machine, or the table is of another device and that is not forced.
    """

    def __init__(
        self, settings: Settings, place: Place, folder: Path, began: dict[str, Any] | None
    ) -> None:
        self.settings, self.elsewhere = settings, place.elsewhere
        self.parallel = place.execution.parallel
        self._engine: Any = {"backend": settings.backend, "threads": settings.threads}
        here = (self.elsewhere.device if self.elsewhere else Device.here)(**self._engine)
        self.table = find_table(settings, folder if began else None, here)
        self.device = self.table.device if self.table else here
        self.measured = self.device == here
        self.reference_ms: float | None = began["reference_ms"] if began else None
        if began and self.timed and not self.table and began["machine"]["cpu"] != here.cpu:
            raise InputError(
                f"{folder}: its latencies are of {began['machine']['cpu']}, this machine is "
                f"{here.cpu}; go on there"
            )

    @property
    def timed(self) -> bool:
        """Whether latencies matter to this search."""
        return self.settings.timed

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of them."""
        device = self.device.to_dict() if self.timed else None
        return {"latencies_of": device, "reference_ms": self.reference_ms}

    @property
    def clock(self) -> Clock | None:
        """What converts the latencies of earlier runs; None where a search has none."""
        if self.reference_ms is None:
            return None
        source = self.table.latency if self.table else self.measure
        return Clock(self.reference_ms, **self.device.to_dict(), measure=source)

    @property
    def needs_table(self) -> bool:
        """Whether they are to be estimated, as nothing can be timed beside trainings."""
        return self.timed and self.parallel and self.table is None

    def calibrate(self) -> None:
        """Fix what the reference network takes, the unit of a new search's latencies."""
        if self.timed and self.table:
            self.reference_ms = self.table.reference_ms
        elif self.timed:
            function = self.elsewhere.calibrate if self.elsewhere else calibrate
            self.reference_ms = function(**self._engine)

    def fit_table(self, gate: Gate, trials: Sequence[Trial] = ()) -> DeviceTable:
        """Time some networks of the space before workers train, for estimates of the others."""
        assert self.reference_ms is not None
        seed, count = self.settings.seed, self.settings.trials
        found = space_table(gate, trials, self.device, self.reference_ms, seed, count)
        self.table = gate.table = found
        return found

    def measure(self, graph: Graph) -> Latency:
        """Time a network, while nothing else runs."""
        assert self.reference_ms is not None
        function = self.elsewhere.measure if self.elsewhere else measure
        return function(graph, reference_ms=self.reference_ms, **self._engine)

    def known(self, graph: Graph) -> Latency:
        """The best that can be known of a latency, while nothing else runs."""
        if self.table and not self.measured:
            return self.table.latency(graph)
        return self.measure(graph)

    def final(self, budget: Budget) -> Measure | None:
        """What times the front at the end; None where its latencies stay as they are."""
        again = "latency" in budget or self.table is not None
        return self.measure if self.measured and again else None


def find_table(settings: Settings, folder: Path | None, here: Device) -> DeviceTable | None:
    """The table that estimates a search's latencies: its file, or what is in a run's folder.

    Raises InputError where the file is of another device than `here`, unless that is forced.
    """
    if settings.latency_table is None:
        fitted = folder / TABLE if folder else None  # by a search with workers, of its own space
        return DeviceTable.load(fitted) if fitted and fitted.exists() else None
    path = folder / TABLE if folder else Path(settings.latency_table)
    table = DeviceTable.load(path)
    if not settings.force_table:
        table.check(path, here)
    return table
