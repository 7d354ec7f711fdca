"""Weights of 4-bit codes into a table of 16 numbers (nf4, fp4), as bitsandbytes stores them; read without its library.

The format (bitsandbytes/functional.py, QuantState): `weight` has two codes in a byte, the first in the high half;
`absmax` a scale for each block of neighbouring numbers, row after row; `quant_map` the table. If the scales are
quantised too, `absmax` has codes of 8 bits into `nested_quant_map`, with a scale for each block of scales in
`nested_absmax` and an offset. The rest is JSON, as bytes in `quant_state.bitsandbytes__nf4`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .dense_blocks import product_by_blocks

ABSMAX, TABLE, NESTED_ABSMAX, NESTED_TABLE = "absmax", "quant_map", "nested_absmax", "nested_quant_map"
KINDS = ("nf4", "fp4")
STATE = "quant_state.bitsandbytes__"


@dataclass(frozen=True, eq=False)
class CodedScales:
    """Scales as codes of 8 bits: table[code] * scale of the code's block + offset.

    Attributes:
        codes: uint8, (scales,).
        table: float32, (256,).
        scales: float32, (blocks,).
        block: Codes that have a scale in common.
        offset: Mean of the scales.
    """

    codes: torch.Tensor
    table: torch.Tensor
    scales: torch.Tensor
    block: int
    offset: float

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return self.codes.nbytes + self.table.nbytes + self.scales.nbytes

    def __getitem__(self, some: slice) -> torch.Tensor:
        """Some of the scales in float32, rounded after each operation as bitsandbytes rounds them."""
        block = torch.arange(some.start, some.stop, device=self.codes.device) // self.block
        return self.table[self.codes[some].int()] * self.scales[block] + self.offset


@dataclass(frozen=True, eq=False)
class CodedWeight:
    """A linear layer's weight, (outputs, inputs), as 4-bit codes into a table, with a scale for each block of numbers.

    Attributes:
        codes: uint8, (outputs, inputs / 2): two codes in a byte, the first in the high half.
        pairs: float32, (256, 2): the numbers that the two codes of each byte mean.
        scales: float32, (blocks,); a block is of neighbouring numbers, row after row.
        block: Numbers of a block.
        dtype: The model's number format. Numbers are multiplied with their scale in float32 and rounded to it.
    """

    codes: torch.Tensor
    pairs: torch.Tensor
    scales: torch.Tensor | CodedScales
    block: int
    dtype: torch.dtype

    @property
    def outputs(self) -> int:
        """Number of outputs of the layer."""
        return self.codes.shape[0]

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer."""
        return 2 * self.codes.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that the weight holds."""
        return self.codes.nbytes + self.pairs.nbytes + self.scales.nbytes

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The linear layer, (..., inputs) to (..., outputs), in the number format of x."""
        return product_by_blocks(x, bias, self.outputs, self._dequantise, self._whole_rows)

    def to_dense(self) -> torch.Tensor:
        """The weight that the codes stand for, (outputs, inputs), in the model's number format."""
        dense = torch.empty(self.outputs, self.inputs, dtype=self.dtype, device=self.codes.device)
        step = max(1, 2**20 // (self.inputs * self._whole_rows)) * self._whole_rows
        for first in range(0, self.outputs, step):
            self._dequantise(first, min(first + step, self.outputs), dense[first : first + step])
        return dense

    @property
    def _whole_rows(self) -> int:
        """The least number of rows that is a whole number of blocks."""
        return self.block // math.gcd(self.block, self.inputs)

    def _dequantise(self, first: int, last: int, out: torch.Tensor) -> None:
        codes = self.codes[first:last].reshape(-1).int()
        # A pair is looked up as one number of 64 bits.
        pairs = self.pairs.view(torch.int64).view(-1).index_select(0, codes)
        scales = self.scales[first * self.inputs // self.block : last * self.inputs // self.block]
        numbers = pairs.view(torch.float32).view(-1, self.block).mul_(scales[:, None])
        out.copy_(numbers.view(out.shape))


@dataclass(frozen=True)
class StoredCodes:
    """A weight of a bitsandbytes checkpoint, by what is known before its numbers are read.

    Attributes:
        name: Name of the tensor of codes.
        shape: (outputs, inputs).
        kind: nf4 or fp4.
        block: Numbers that have a scale in common.
        nested_block: Scales that have a scale in common; None: scales are stored as they are.
        offset: Mean of the scales, if these are coded.
    """

    name: str
    shape: tuple[int, int]
    kind: str
    block: int
    nested_block: int | None
    offset: float

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the tensors that it is stored as."""
        parts = [ABSMAX, TABLE, STATE + self.kind]
        parts += [] if self.nested_block is None else [NESTED_ABSMAX, NESTED_TABLE]
        return (self.name, *(f"{self.name}.{part}" for part in parts))

    @property
    def words(self) -> str:
        """Its kind, for messages."""
        return self.kind + ("" if self.nested_block is None else " with coded scales")

    @property
    def blocks(self) -> int:
        """Blocks of numbers."""
        return math.prod(self.shape) // self.block

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes of the weight as it is held, in any number format."""
        pairs = 256 * 2 * 4
        if self.nested_block is None:
            return math.prod(self.shape) // 2 + pairs + self.blocks * 4
        nested = self.blocks + 256 * 4 + -(-self.blocks // self.nested_block) * 4
        return math.prod(self.shape) // 2 + pairs + nested

    def taken(self, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> CodedWeight:
        """Build the weight from its tensors, which leave the dictionary.

        Args:
            tensors: Tensors as they are stored, by name.
            dtype: Number format of the model.
        """
        found = {name.removeprefix(f"{self.name}."): tensors.pop(name) for name in self.parts}
        table = found[TABLE]
        pairs = torch.stack((table.repeat_interleave(16), table.repeat(16)), dim=-1)
        scales: torch.Tensor | CodedScales = found[ABSMAX]
        if self.nested_block is not None:
            nested = found[NESTED_TABLE], found[NESTED_ABSMAX]
            scales = CodedScales(found[ABSMAX], *nested, self.nested_block, self.offset)
        return CodedWeight(found[self.name].view(self.shape[0], -1), pairs, scales, self.block, dtype)
