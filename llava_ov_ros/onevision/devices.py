"""Work on one device among several: the current device while it is done, and uploads that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

Yielded = TypeVar("Yielded")


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Makes a device the current one of this thread while the context lasts.

    Tensors know their device; graphs, streams and kernels of other packages go to the current one.
    """
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def each_on_device(device: torch.device, items: Iterator[Yielded]) -> Iterator[Yielded]:
    """The items, each made on a device; whoever takes them is on a device of his own meanwhile."""
    try:
        while True:
            with on_device(device):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            with on_device(device):
                close()


def free_unused(device: torch.device) -> None:
    """Gives memory that torch keeps for later back to a GPU, for others."""
    if device.type == "cuda":
        with on_device(device):
            torch.cuda.empty_cache()


def uploaded(values: torch.Tensor | Sequence[object], device: torch.device) -> torch.Tensor:
    """Values of the host on a device, without a wait for what the device is doing.

    A copy from memory that the system may move makes the host wait until it is done; from pinned memory it does not.

    Args:
        values: A tensor on the CPU, or numbers, lists of numbers, ... as `torch.tensor` takes them.
        device: Where they go.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
