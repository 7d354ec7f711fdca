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

    def capture(self, compute: Compute) -> Compute:
        """A computation as a graph; it is run a few times before, since libraries set themselves up in their first run.

        Raises:
            RuntimeError: It cannot be captured, or memory ran out.
        """
        with on_device(self._device):
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP_RUNS):
                    compute()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # Another thread's work is no part of this one's.
            try:
                with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                    compute()
            except BaseException:
                # Nobody knows what a capture that failed has left in the pool.
                self._pool = None
                raise

        def replay() -> None:
            with on_device(self._device):
                graph.replay()

        return replay
