"""Products with quantised weights, of which no more than a block of rows is ever dequantised."""

from __future__ import annotations

from collections.abc import Callable

import torch

from .linear import project

# Bytes of a dequantised block. On a CPU it stays in a core's cache between its steps and the product; on a GPU, blocks
# are as few as the memory allows.
CPU_BLOCK_BYTES = 2**20
GPU_BLOCK_BYTES = 2**26

Dequantise = Callable[[int, int, torch.Tensor], None]
"""Dequantises the rows of a weight from the first to before the last into a tensor (last - first, inputs)."""


def product_by_blocks(
    x: torch.Tensor, bias: torch.Tensor | None, outputs: int, dequantise: Dequantise, multiple: int = 1
) -> torch.Tensor:
    """A linear layer, (..., inputs) to (..., outputs), which never holds more than a block of its weight.

    Args:
        x: (..., inputs).
        bias: (outputs,); None without.
        outputs: Rows of the weight.
        dequantise: Fills a block.
        multiple: Rows that only a whole number of times make a block.
    """
    rows = _rows_of_block(x, outputs, multiple)
    block = x.new_empty(rows, x.shape[-1])
    parts = []
    for first in range(0, outputs, rows):
        last = min(first + rows, outputs)
        dequantise(first, last, block[: last - first])
        parts.append(project(x, block[: last - first], None if bias is None else bias[first:last]))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _rows_of_block(x: torch.Tensor, outputs: int, multiple: int) -> int:
    most = CPU_BLOCK_BYTES if x.device.type == "cpu" else GPU_BLOCK_BYTES
    fitting = most // (x.shape[-1] * x.itemsize)
    return min(outputs, max(1, fitting // multiple) * multiple)
