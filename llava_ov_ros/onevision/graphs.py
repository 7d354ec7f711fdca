"""CUDA graphs: captures a computation over fixed addresses once, and then launches it as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .devices import on_device

Compute = Callable[[], None]
Capture = Callable[[Compute], Compute]
"""Takes a computation over fixed addresses, and returns a faster one with the same effect; may run it meanwhile."""

WARM_UP_RUNS = 3


class Graphs:
    """Captures computations on one device. All share one memory pool, so no two of them may run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None
        self._stream: Any = None

    def capture(self, compute: Compute) -> Compute:
        """Capture a computation as a graph, after warm-up runs in which libraries initialise themselves.

        Raises:
            RuntimeError: The computation cannot be captured, or memory ran out.
        """
        with on_device(self._device):
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            if self._stream is None:
                # One stream for all graphs: cuBLAS keeps a workspace per stream, and graphs that share a pool need the
                # same one. The default stream of torch.cuda.graph belongs to the device of the process's first capture.
                self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            graph = torch.cuda.CUDAGraph()
            before = torch.cuda.current_stream()
            self._stream.wait_stream(before)
            # A capture that fails at its end leaves its stream current; this context restores the previous stream.
            with torch.cuda.stream(self._stream):
                try:
                    for _ in range(WARM_UP_RUNS):
                        compute()
                finally:
                    # Also if memory ran out: whatever writes the buffers next must wait for the runs that were begun.
                    before.wait_stream(self._stream)
                try:
                    # thread_local: calls of other threads do not invalidate this capture.
                    with torch.cuda.graph(
                        graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                    ):
                        compute()
                except BaseException:
                    # A failed capture leaves the pool and the stream in an unknown state.
                    self._pool = self._stream = None
                    raise

        def replay() -> None:
            with on_device(self._device):
                graph.replay()

        return replay
