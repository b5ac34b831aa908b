"""What a latency is of: a processor, the engine on it, and the engine's threads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from nas.errors import InputError
from nas.latency.measurement import cpu_name
from nas.metrics import plural


@dataclass(frozen=True, slots=True)
class Device:
    """Latencies of equal devices may stand beside each other."""

    backend: str
    threads: int
    cpu: str

    @classmethod
    def here(cls, backend: str, threads: int) -> Device:
        """This machine."""
        return cls(backend, threads, cpu_name())

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Device:
        """Read plain data; raises InputError."""
        kinds = {"backend": str, "threads": int, "cpu": str}
        for key, kind in kinds.items():
            value = data.get(key) if isinstance(data, dict) else None
            if not isinstance(value, kind):
                raise InputError(f"{where}: {key}: expected {kind.__name__}, got {value!r}")
        return cls(**{key: data[key] for key in kinds})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def difference(self, other: Device) -> str:
        """How it differs from another one, empty where it does not: backend torch, not openvino."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return ", ".join(f"{name} {own}, not {its}" for name, own, its in pairs if own != its)

    def __str__(self) -> str:
        return f"{self.cpu}, {self.backend}, {plural(self.threads, 'thread')}"
