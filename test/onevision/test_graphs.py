"""Streams and pools of memory that captures use, on a driver that only notes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from llava_ov_ros.onevision.graphs import WARM_UP_RUNS, Graphs


@dataclass(eq=False)
class Stream:
    """A queue of work on one device."""

    device: torch.device
    waited_for: list[Stream] = field(default_factory=list)

    def wait_stream(self, other: Stream) -> None:
        """Note whose work comes first."""
        self.waited_for.append(other)


class Driver:
    """Two devices without kernels.

    Attributes:
        index: Of the current device.
        captures: Stream and pool of each capture that began.
        error: What the end of a capture raises.
    """

    def __init__(self) -> None:
        self.index = 0
        self.streams = {index: Stream(torch.device("cuda", index)) for index in range(2)}
        self.pools = 0
        self.captures: list[tuple[Stream, int]] = []
        self.error: RuntimeError | None = None

    @property
    def stream(self) -> Stream:
        """The current one of the current device."""
        return self.streams[self.index]

    def set_stream(self, stream: Stream) -> None:
        """Make a stream, and its device, the current one, as torch does."""
        assert stream.device.index is not None
        self.index = stream.device.index
        self.streams[self.index] = stream

    def exchange(self, index: int) -> int:
        """Make a device the current one; gives the one before."""
        before, self.index = self.index, index if index >= 0 else self.index
        return before

    def new_pool(self) -> int:
        """Another pool of memory."""
        self.pools += 1
        return self.pools


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()

    class Graph:
        def capture_begin(self, pool: int, **_: object) -> None:
            made.captures.append((made.stream, pool))

        def capture_end(self) -> None:
            if made.error is not None:
                raise made.error

        def replay(self) -> None:
            pass

    for name, value in {
        "CUDAGraph": Graph,
        "Stream": lambda: Stream(torch.device("cuda", made.index)),
        "current_stream": lambda _=None: made.stream,
        "set_stream": made.set_stream,
        "graph_pool_handle": made.new_pool,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "_exchange_device": made.exchange,
        "_maybe_exchange_device": made.exchange,
        "_get_device_index": lambda device, optional=False: made.index if device is None else device.index,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    monkeypatch.setattr(torch.cuda.graph, "default_capture_stream", None)
    return made


def noting(driver: Driver, ran_on: list[Stream]) -> Callable[[], None]:
    """A computation that notes the stream on which it runs."""
    return lambda: ran_on.append(driver.stream)


def test_all_captures_of_a_device_use_one_stream_of_it_and_one_pool(driver: Driver) -> None:
    """Each stream costs a workspace of cuBLAS; one capture stream for all devices, on the first of them."""
    ran_on: list[Stream] = []
    for index in (0, 1):
        graphs = Graphs(torch.device("cuda", index))
        driver.captures.clear()
        ran_on.clear()
        for _ in range(3):
            graphs.capture(noting(driver, ran_on))
        assert driver.captures == [driver.captures[0]] * 3
        assert ran_on == [driver.captures[0][0]] * 3 * (WARM_UP_RUNS + 1)
        assert ran_on[0].device.index == index
        assert driver.index == 0 and ran_on[0] not in driver.streams.values()


def test_a_capture_that_fails_leaves_no_stream_and_no_pool(driver: Driver) -> None:
    ran_on: list[Stream] = []
    graphs, usual = Graphs(torch.device("cuda", 0)), driver.stream
    graphs.capture(noting(driver, ran_on))
    driver.error = RuntimeError("operation failed due to a previous error during capture")
    with pytest.raises(RuntimeError, match="previous error"):
        graphs.capture(noting(driver, ran_on))
    assert driver.stream is usual
    driver.error = None
    graphs.capture(noting(driver, ran_on))
    (first, first_pool), (failed, failed_pool), (later, later_pool) = driver.captures
    assert first is failed is not later
    assert first_pool == failed_pool != later_pool


def test_what_follows_a_failed_warm_up_comes_behind_it(driver: Driver) -> None:
    def failing() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    usual = driver.stream
    with pytest.raises(torch.OutOfMemoryError):
        Graphs(torch.device("cuda", 0)).capture(failing)
    assert driver.stream is usual and driver.captures == []
    assert [stream.waited_for for stream in usual.waited_for] == [[usual]]
