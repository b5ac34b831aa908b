"""PyTorch on a CUDA device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.errors import InputError
from nas.graph import Graph
from nas.latency.backends.base import Weights
from nas.latency.backends.pytorch import deployed
from nas.latency.stopwatch import Run, Stopwatch, Times, wall_time

WARM_UP = 5  # runs in which cuDNN chooses its kernels


@dataclass(frozen=True, slots=True)
class Cuda:
    """Eager PyTorch captured as a CUDA graph, so that launching kernels takes next to no time.

    fp32 as torch has it by default: convolutions may use TF32. The CPU's threads do not matter.
    """

    def prepare(self, graph: Graph, threads: int, weights: Weights | None = None) -> Run:
        import torch

        if not torch.cuda.is_available():
            raise InputError("backend cuda: torch sees no CUDA device here; use torch")
        module, x = deployed(graph, weights, "cuda")
        with torch.inference_mode(), torch.backends.cudnn.flags(benchmark=True):
            return _Captured(lambda: module(x))

    def stopwatch(self, threads: int) -> Stopwatch:
        return device_time


class _Captured:
    """The kernels of a run as a CUDA graph, after a warm-up on a stream of its own.

    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, run: Run) -> None:
        import torch

        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(side)
        self.run = run  # the graph reads weights and image where they are: keep them there
        self.kernels = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.kernels):
            self.scores = run()

    def __call__(self) -> Any:
        self.kernels.replay()
        return self.scores


def device_time(run: Run) -> Times:
    """Time on the device, from an event before the run to one after it."""
    import torch

    before: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    after: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def complete() -> None:
        before.record()
        run()
        after.record()
        after.synchronize()

    host = wall_time(complete)
    return host._replace(ms=before.elapsed_time(after))
