"""CUDA graphs: a computation over fixed addresses is captured once, and then started as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .devices import on_device

Compute = Callable[[], None]
Capture = Callable[[Compute], Compute]
"""Takes a computation over fixed addresses, gives what does the same faster; it may run the computation meanwhile."""

WARM_UP_RUNS = 3


class Graphs:
    """Captures computations on one device. They share one pool of memory, so that no two may run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None
        self._stream: Any = None

    def capture(self, compute: Compute) -> Compute:
        """A computation as a graph; it is run a few times before, since libraries set themselves up in their first run.

        Raises:
            RuntimeError: It cannot be captured, or memory ran out.
        """
        with on_device(self._device):
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            if self._stream is None:
                # One for all: cuBLAS keeps a workspace for every stream, and graphs that share a pool need the same
                # one. That of torch.cuda.graph belongs to the device that was current at the process's first capture.
                self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            graph = torch.cuda.CUDAGraph()
            before = torch.cuda.current_stream()
            self._stream.wait_stream(before)
            # A capture whose end fails leaves its stream the current one; this context does not.
            with torch.cuda.stream(self._stream):
                try:
                    for _ in range(WARM_UP_RUNS):
                        compute()
                finally:
                    # Also where memory ran out: whoever fills the buffers next comes behind what was begun.
                    before.wait_stream(self._stream)
                try:
                    # Another thread's work is no part of this one's.
                    with torch.cuda.graph(
                        graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                    ):
                        compute()
                except BaseException:
                    # Nobody knows what a capture that failed has left in the pool and on the stream.
                    self._pool = self._stream = None
                    raise

        def replay() -> None:
            with on_device(self._device):
                graph.replay()

        return replay
