"""Linear layers in int8 on a CPU: integer weights, and integer inputs that are rounded anew in each product.

Both are rounded symmetrically to 255 steps, weights with a scale for each output and inputs with a scale for each row,
so that no row depends on the rows beside it. The product of the integers is exact, in int32.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from .linear import X86_64, JoinedLinear

LARGEST = 127
# Inputs are stored as unsigned integers around this number: where a CPU has no AMX, oneDNN multiplies signed ones
# without vector instructions.
ZERO = 128
# A row of zeros gets this scale. Of a row of numbers so small nothing is left.
SMALLEST_SCALE = 1e-30
# Outputs whose weights are rounded at once, which bounds the memory for them in float32.
OUTPUTS_AT_ONCE = 1024
# Weights are rounded around 0.
_NO_ZERO_POINTS = torch.zeros(1, dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """A linear layer's weight as integers.

    Attributes:
        packing: Integers of -127 to 127 in the layout of oneDNN's kernel, (inputs, outputs).
        scales: What 1 stands for in each output, float32 (outputs,).
        dtype: Number format of the weight that the integers stand for.
    """

    packing: torch.Tensor
    scales: torch.Tensor
    dtype: torch.dtype

    @property
    def outputs(self) -> int:
        """Number of outputs of the layer."""
        return self.scales.shape[0]

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer."""
        return self.packing.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the integers and scales."""
        return self.packing.nbytes + self.scales.nbytes

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The linear layer, (..., inputs) to (..., outputs), in the number format of x.

        Args:
            x: (..., inputs); a row with a number that is not finite has an output without finite numbers.
            bias: (outputs,); None without.
        """
        integers, scales = rounded_rows(x.reshape(-1, x.shape[-1]))
        # The row's scale follows outside, because the kernel takes one scale for all rows.
        result = _integer_product(integers, self.packing, self.scales, scales.dtype)
        result = result.mul_(scales) if bias is None else torch.addcmul(bias.to(scales.dtype), result, scales)
        return result.to(x.dtype).reshape(*x.shape[:-1], -1)

    def to_dense(self) -> torch.Tensor:
        """The weight that the integers stand for, (outputs, inputs)."""
        return (self.packing.to_dense().T * self.scales[:, None]).to(self.dtype)


def rounded_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round each row to integers around `ZERO`, so that its largest number is 127 steps from it.

    Args:
        x: (rows, inputs).

    Returns:
        uint8 (rows, inputs) and the scales (rows, 1), bfloat16 if x is, else float32: x is about
        (integers - ZERO) * scales.
    """
    wide = x.float()
    scales = wide.abs().amax(-1, keepdim=True).div_(LARGEST).clamp_(min=SMALLEST_SCALE)
    if x.dtype == torch.bfloat16:
        # The kernel's output is bfloat16 then, and products of two formats take several times as long.
        scales = scales.bfloat16()
    # The conversion cuts off the fraction. A scale that bfloat16 has rounded lets no number exceed 127.25.
    return (wide / scales.float()).add_(ZERO + 0.5).to(torch.uint8), scales


def int8_weight(weights: Sequence[torch.Tensor]) -> Int8Weight:
    """Round weights of layers that have the same input to one weight.

    Args:
        weights: The weight of each layer, (outputs, inputs).
    """
    integers = torch.empty(sum(map(len, weights)), weights[0].shape[1], dtype=torch.int8)
    scales = torch.empty(len(integers))
    begin = 0
    for weight in weights:
        for some in torch.split(weight, OUTPUTS_AT_ONCE):
            rows = slice(begin, begin := begin + len(some))
            wide = some.float()
            scales[rows] = wide.abs().amax(-1).div_(LARGEST).clamp_(min=SMALLEST_SCALE)
            integers[rows] = (wide / scales[rows, None]).round_()
    return Int8Weight(torch.ops.onednn.qlinear_prepack(integers, None), scales, weights[0].dtype)


def int8_layers(modules: Sequence[nn.Linear]) -> JoinedLinear:
    """Round the weights of layers that have the same input, and take them from the modules.

    The modules' weights become meta tensors, without data, until `give_back` fills them.

    Args:
        modules: The layers; either all have a bias or none has.
    """
    biases: list[torch.Tensor] = [module.bias for module in modules if module.bias is not None]
    weight = int8_weight([module.weight for module in modules])
    for module in modules:
        module.weight = nn.Parameter(torch.empty_like(module.weight, device="meta"), requires_grad=False)
    return JoinedLinear((weight,), (torch.cat(biases) if biases else None,))


def int8_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of a weight (outputs, inputs) in int8: its integers, and a scale in float32 for each output."""
    outputs, inputs = shape
    return outputs * (inputs + torch.float32.itemsize)


@cache
def why_no_int8() -> str:
    """Why int8 products cannot be computed on this CPU; empty: they can."""
    if platform.machine() not in X86_64:
        return f"int8 products were tried on x86-64 processors only, and this is {platform.machine()}"
    # The largest integers everywhere: without VNNI instructions, sums of two products overflow in int16.
    weight = torch.full((16, 64), LARGEST, dtype=torch.int8)
    integers = torch.full((2, 64), ZERO + LARGEST, dtype=torch.uint8)
    integers[1] = ZERO - LARGEST
    try:
        packing = torch.ops.onednn.qlinear_prepack(weight, None)
        found = _integer_product(integers, packing, torch.ones(16), torch.float32)
    except (AttributeError, RuntimeError) as error:
        return f"torch {torch.__version__} has no int8 products on this CPU ({str(error).splitlines()[0]})"
    expected = torch.tensor([[1.0], [-1.0]]) * (64 * LARGEST * LARGEST)
    if not torch.equal(found, expected.expand_as(found)):
        return "this CPU has no VNNI instructions (avx512_vnni, avx_vnni or amx_int8), without which sums overflow"
    return ""


def _integer_product(
    integers: torch.Tensor, packing: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """(integers - ZERO) times the packed weight, times the scales of the outputs, (rows, outputs)."""
    # The output is not rounded to integers: its scale is 1 and its zero 0.
    product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
        integers, 1.0, ZERO, packing, scales, _NO_ZERO_POINTS, None, 1.0, 0, dtype, "none", [], ""
    )
    return product
