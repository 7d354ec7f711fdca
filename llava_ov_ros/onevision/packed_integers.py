"""Weights of 4 or 8 bit integers with scales, as the format pack-quantized of compressed-tensors stores them.

The format (compressed_tensors/compressors/pack_quantized): `weight_packed` has the integers of a row one behind the
other in int32, the first in the lowest bits, each plus half of its range; `weight_scale` one scale for each group of
neighbouring columns, for a row or for all; `weight_zero_point`, if the range is not symmetric, integers that are packed
along the rows; `weight_g_idx`, if columns were sorted while they were quantised, the group of each column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .dense_blocks import product_by_blocks
from .linear import FEW_ROWS

BITS = (4, 8)
PACKED, SCALE, SHAPE, ZERO_POINT, GROUP_INDEX = (
    f"weight_{part}" for part in ("packed", "scale", "shape", "zero_point", "g_idx")
)


@dataclass(frozen=True, eq=False)
class PackedIntegers:
    """A linear layer's weight, (outputs, inputs), as integers of 4 or 8 bits with scales.

    A weight is (integer - zero) * scale, computed in the number format of the scales as compressed-tensors computes it.

    Attributes:
        integers: 8 bits: int8, (outputs, inputs). 4 bits: uint8, (outputs, inputs / 2), where byte i of a row has
            column i in its low half and column i + inputs / 2 in its high half, both plus 8: each half of a row is
            unpacked by operations over neighbouring bytes.
        scales: (outputs, groups); a group has inputs / groups neighbouring columns.
        zeros: int8, (outputs, groups); None where all are 0.
        order: Which input each column takes, (inputs,), so that the columns of a group are neighbours; None: the same.
    """

    integers: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    order: torch.Tensor | None

    @property
    def outputs(self) -> int:
        """Number of outputs of the layer."""
        return self.integers.shape[0]

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer."""
        return self.integers.shape[1] * (2 if self.integers.dtype == torch.uint8 else 1)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that the weight holds."""
        held = (self.integers, self.scales, self.zeros, self.order)
        return sum(tensor.nbytes for tensor in held if tensor is not None)

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The linear layer, (..., inputs) to (..., outputs), in the number format of x."""
        ordered = x if self.order is None else x[..., self.order]
        rows = x.numel() // x.shape[-1]
        if rows <= FEW_ROWS and x.device.type == "cpu" and x.dtype == torch.bfloat16 and self._has_row_scales:
            # Ten times as fast for one row; in float32, torch has no vector instructions for it.
            flat = ordered.reshape(rows, -1).contiguous()
            product: torch.Tensor = torch.ops.aten._weight_int8pack_mm(flat, self.integers, self.scales.view(-1))
            return (product if bias is None else product + bias).view(*x.shape[:-1], -1)
        return product_by_blocks(ordered, bias, self.outputs, self._dequantise)

    def to_dense(self) -> torch.Tensor:
        """The weight that the integers stand for, (outputs, inputs), in the model's number format."""
        dense = self.scales.new_empty(self.outputs, self.inputs)
        self._dequantise(0, self.outputs, dense)
        if self.order is None:
            return dense
        return torch.empty_like(dense).index_copy_(1, self.order, dense)

    @property
    def _has_row_scales(self) -> bool:
        """Whether the weight is one of symmetric integers of 8 bits with one scale for each row."""
        return self.integers.dtype == torch.int8 and self.zeros is None and self.scales.shape[1] == 1

    def _dequantise(self, first: int, last: int, out: torch.Tensor) -> None:
        integers = self.integers[first:last]
        if integers.dtype == torch.uint8:
            halves = out.view(last - first, 2, -1)
            halves[:, 0].copy_((integers & 15).view(torch.int8).sub_(8))
            halves[:, 1].copy_((integers >> 4).view(torch.int8).sub_(8))
        else:
            out.copy_(integers)
        grouped = out.view(last - first, self.scales.shape[1], -1)
        # Differences of 8 bit integers are exact in every number format.
        if self.zeros is not None:
            grouped.sub_(self.zeros[first:last, :, None])
        grouped.mul_(self.scales[first:last, :, None])


@dataclass(frozen=True)
class StoredIntegers:
    """A weight of a pack-quantized checkpoint, by what is known before its numbers are read.

    Attributes:
        base: The layer's name in the files, with a point behind it.
        shape: (outputs, inputs).
        bits: 4 or 8.
        scales: Shape of the scales: (outputs, groups), or fewer dimensions if there is one scale.
        has_zeros: Whether zero points are stored.
        has_order: Whether the group of each column is stored.
    """

    base: str
    shape: tuple[int, int]
    bits: int
    scales: tuple[int, ...]
    has_zeros: bool
    has_order: bool

    @property
    def groups(self) -> int:
        """Groups of columns that have a scale of their own."""
        return self.scales[1] if len(self.scales) == 2 else 1

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the tensors that it is stored as."""
        parts = [PACKED, SCALE, SHAPE]
        parts += [ZERO_POINT] * self.has_zeros + [GROUP_INDEX] * self.has_order
        return tuple(self.base + part for part in parts)

    @property
    def words(self) -> str:
        """Its kind, for messages."""
        outputs, inputs = self.shape
        if self.scales == (outputs, self.groups) and self.groups > 1:
            return f"int{self.bits} in groups of {inputs // self.groups}"
        return f"int{self.bits}"

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes of the weight as it is held in a number format."""
        outputs, inputs = self.shape
        scales = outputs * self.groups
        order = inputs * torch.long.itemsize if self.has_order else 0
        return outputs * inputs * self.bits // 8 + scales * (dtype.itemsize + self.has_zeros) + order

    def taken(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> PackedIntegers:
        """Build the weight from its tensors, which leave the dictionary.

        Args:
            tensors: Tensors as they are stored, by name.
            dtype: Number format of the model.

        Raises:
            ValueError: The groups of the columns are no equal parts of them.
        """
        found: dict[str, Any] = {name.removeprefix(self.base): tensors.pop(name) for name in self.parts}
        outputs, inputs = self.shape
        order = _order(found[GROUP_INDEX], self.groups) if self.has_order else None
        scales = found[SCALE].to(dtype).reshape(-1, self.groups).expand(outputs, -1).contiguous()
        zeros = found.get(ZERO_POINT)
        if zeros is not None:
            if zeros.dtype == torch.int32:
                # Packed along the rows.
                zeros = _signed(zeros.T.contiguous(), self.bits, outputs).T
            zeros = zeros.reshape(-1, self.groups).expand(outputs, -1).contiguous()
        integers = _repacked(found[PACKED], self.bits, inputs, order)
        return PackedIntegers(integers, scales, zeros, order)


def _order(group_of: torch.Tensor, groups: int) -> torch.Tensor | None:
    """The columns of the first group, then those of the second, ...; None if that is their order already.

    Raises:
        ValueError: The groups are no equal parts of the columns.
    """
    # A file whose columns were not sorted may have -1 for each.
    if bool((group_of == -1).any()):
        return None
    size = len(group_of) // groups
    order = group_of.argsort(stable=True)
    if not torch.equal(group_of[order].long(), torch.arange(groups, device=order.device).repeat_interleave(size)):
        raise ValueError(f"{GROUP_INDEX} does not put the columns into {groups} groups of {size}")
    return None if torch.equal(order, torch.arange(len(order), device=order.device)) else order


def _unsigned(packed: torch.Tensor, bits: int, columns: int) -> torch.Tensor:
    """Integers plus half of their range, uint8 (rows, columns), of int32 (rows, ...)."""
    held = packed.view(torch.uint8)
    if bits == 4:
        held = torch.stack((held & 15, held >> 4), dim=-1).flatten(1)
    return held[:, :columns]


def _signed(packed: torch.Tensor, bits: int, columns: int) -> torch.Tensor:
    """Integers, int8 (rows, columns), of int32 (rows, ...)."""
    # Of 8 bits, the difference wraps around to the integer's own bits.
    shifted: torch.Tensor = _unsigned(packed, bits, columns) - 2 ** (bits - 1)
    return shifted.view(torch.int8)


def _repacked(packed: torch.Tensor, bits: int, columns: int, order: torch.Tensor | None) -> torch.Tensor:
    """The integers of a stored weight in the layout of `PackedIntegers`, a few rows at a time."""
    parts = []
    for rows in torch.split(packed, max(1, 2**22 // columns)):
        some = _unsigned(rows, 4, columns) if bits == 4 else _signed(rows, 8, columns)
        some = some if order is None else some[:, order]
        if bits == 4:
            low, high = some.chunk(2, dim=1)
            some = low | high << 4
        parts.append(some.contiguous())
    return torch.cat(parts)
