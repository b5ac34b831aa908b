"""Proposals that became no trials, for their latency or a block's error: rejected.jsonl."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.latency import Latency
from nas.records import REJECTED, Trial, append_line, cost_dict, read_lines
from nas.space import Candidate, Params


@dataclass(frozen=True, slots=True)
class Rejections:
    """Those of a run, as the gate tells them; `say` is told of blocks that raise."""

    folder: Path
    seed: int
    say: Callable[[str], None]

    def add(self, what: Candidate | Params, reason: str, latency: Latency | None) -> None:
        """Write a line, once the run has a folder."""
        if self.folder.exists():
            append_line(self.folder / REJECTED, self._line(what, reason, latency).to_json())
        if not isinstance(what, Candidate):
            self.say(f"a block raised {reason}; such architectures are passed over")

    def ids(self) -> set[str]:
        """The architectures that earlier sessions rejected; a line that was cut is dropped."""
        lines = read_lines(self.folder / REJECTED, repair=True)
        return {line["id"] for line in lines if line.get("id")}

    def _line(self, what: Candidate | Params, reason: str, latency: Latency | None) -> Trial:
        known: dict[str, Any] = {"id": "", "params": what, "cost": {}}
        if isinstance(what, Candidate):
            known = {"id": what.id, "params": what.params, "cost": cost_dict(what.cost)}
        return Trial(
            number=-1,
            **known,
            arch={},
            state="rejected",
            seed=self.seed,
            latency=latency.to_dict() if latency else None,
            error=reason,
        )
