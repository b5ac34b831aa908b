"""ExecuTorch on the CPU, by XNNPACK; the extra `executorch` installs it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nas.graph import Graph
from nas.latency.backends.base import Weights, image
from nas.latency.stopwatch import Run, Stopwatch, caller_time, wall_time

if TYPE_CHECKING:
    import torch

Network: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"


@dataclass(frozen=True, slots=True)
class ExecuTorch:
    """ExecuTorch's runtime in fp32, what XNNPACK knows left to it: as on a phone's CPU."""

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        import torch

        network = load(_random(graph) if weights is None else lowered(graph, weights), threads)
        x = torch.from_numpy(image(graph))
        torch.set_flush_denormal(True)  # of this thread
        return lambda: network(x)

    def stopwatch(self, threads: int) -> Stopwatch:
        return caller_time if threads == 1 else wall_time


def lowered(graph: Graph, weights: Weights | None = None) -> bytes:
    """The program of a network for one image: the content of a .pte file. It takes seconds."""
    import torch

    from nas.latency.backends.pytorch import deployed

    module, x = deployed(graph, weights, "cpu")
    plain = torch.contiguous_format  # what callers have; XNNPACK lays maps out as it likes
    program = torch.export.export(module.to(memory_format=plain), (x.contiguous(),))  # type: ignore[call-overload]
    with _unwarned():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        return bytes(edge.to_executorch().buffer)


# Every round needs the candidate and the reference again.
_random = lru_cache(maxsize=2)(lowered)


def load(program: bytes | Path, threads: int) -> Network:
    """The network of a program or of its file.

    `threads` holds for all of this process: networks that were loaded for another number must not
    be run any more, they would wait for threads that are gone.
    """
    with _unwarned():
        from executorch.extension.pybindings import portable_lib as engine
        from executorch.runtime import Runtime

        if engine._threadpool_get_thread_count() != threads:
            engine._unsafe_reset_threadpool(threads)
        loaded = Runtime.get().load_program(program)
    # The program keeps its method, which reads the program's memory: neither lives without it.
    return lambda x: loaded.load_method("forward").execute([x])[0]


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without its warnings of what may change in it and in torch, which no user can heed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
