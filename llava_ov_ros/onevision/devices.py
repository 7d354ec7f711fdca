"""Runs work on one of several devices, copies values to one without waiting for it, and tells what a CPU can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import torch

Yielded = TypeVar("Yielded")
CPU_INFO = Path("/proc/cpuinfo")
# Linux's names of instructions for products of bfloat16: AVX-512-BF16 and AMX.
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a device the current device of this thread within the context.

    Tensors carry their device, but graphs, streams and kernels of other packages use the current device.
    """
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def multiplies_bfloat16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether this machine's CPU has instructions for products of bfloat16; False where Linux does not tell.

    Args:
        cpu_info: The kernel's description of the CPU.
    """
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not BFLOAT16_FLAGS.isdisjoint(flags)


def each_on_device(device: torch.device, items: Iterator[Yielded]) -> Iterator[Yielded]:
    """Yield the items of an iterator, which runs with `device` as the current device; the consumer keeps its own."""
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
    """Return the GPU memory that torch caches to the driver, for other processes; does nothing on a CPU."""
    if device.type == "cuda":
        with on_device(device):
            torch.cuda.empty_cache()


def uploaded(values: torch.Tensor | Sequence[object], device: torch.device) -> torch.Tensor:
    """Copy values from the host to a device without waiting for the device's queued work.

    A copy from pageable memory makes the host wait; one from pinned memory does not.

    Args:
        values: A tensor on the CPU, or (nested) numbers as `torch.tensor` takes them.
        device: Destination.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
