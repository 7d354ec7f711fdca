"""Linear layers as the engine computes them: those of one input as one product, packed once on a CPU."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn
from torch.nn import functional

FEW_ROWS = 16
# Names of the only processors on which packed weights were tried.
X86_64 = ("x86_64", "AMD64")


class QuantisedWeight(Protocol):
    """A linear layer's weight as integers and scales, with a product of its own."""

    @property
    def outputs(self) -> int:
        """Number of outputs of the layer."""

    @property
    def inputs(self) -> int:
        """Number of inputs of the layer."""

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that the weight holds."""

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The linear layer, (..., inputs) to (..., outputs), in the number format of x."""

    def to_dense(self) -> torch.Tensor:
        """The weight that the integers stand for, (outputs, inputs), in the model's number format."""


Weight = torch.Tensor | QuantisedWeight


@dataclass(frozen=True, eq=False)
class JoinedLinear:
    """Linear layers that have the same input, such as those of queries, keys and values.

    Attributes:
        weights: One weight with the outputs of all layers, (sum of outputs, inputs); each layer's own weight if they
            are tensors that torchao has quantised, because these cannot be joined.
        biases: The bias of each weight; None if it has none.
    """

    weights: tuple[Weight, ...]
    biases: tuple[torch.Tensor | None, ...]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of all layers one behind the other, (..., inputs) to (..., sum of outputs)."""
        parts = [project(x, weight, bias) for weight, bias in zip(self.weights, self.biases, strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def packs_weights(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether weights of a number format are packed on a device: for oneDNN's kernels on an x86-64 CPU.

    Packed weights take as much memory as others. In bfloat16 `functional.linear` packs the weight anew in each call,
    and its products have the same bits, but for a few in 100,000 on a CPU with AMX, where they depend on the shapes. In
    float32 it is another library's, which adds in another order.
    """
    if device.type != "cpu" or platform.machine() not in X86_64:
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed(weight: torch.Tensor) -> torch.Tensor:
    """The weight in the layout of oneDNN's kernels if `packs_weights` says so; else the weight itself.

    Args:
        weight: (outputs, inputs).
    """
    if not packs_weights(weight.device, weight.dtype):
        return weight
    packing: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return packing


def joined(modules: Sequence[nn.Linear], *, quantised: bool = False) -> JoinedLinear:
    """Take over the weights of layers that have the same input, without keeping two copies.

    The modules' weights become views of the joined weight. If it is packed, they become meta tensors, without data,
    until `give_back` fills them.

    Args:
        modules: The layers; either all have a bias or none has.
        quantised: Whether torchao has quantised the weights; they are then used as they are.
    """
    weights = [module.weight for module in modules]
    biases: list[torch.Tensor] = [module.bias for module in modules if module.bias is not None]
    if quantised:
        return JoinedLinear(tuple(weights), tuple(module.bias for module in modules))
    # A single weight stays where it is.
    whole = torch.cat(weights) if len(weights) > 1 else weights[0]
    bias = torch.cat(biases) if biases else None
    packing = packed(whole)
    _assign(modules, torch.empty_like(whole, device="meta") if packing.is_mkldnn else whole)
    return JoinedLinear((packing,), (bias,))


def is_taken(weight: Weight) -> bool:
    """Whether a weight is packed or quantised, so that the modules that it came from no longer have it."""
    return not isinstance(weight, torch.Tensor) or weight.is_mkldnn


def give_back(modules: Sequence[nn.Linear], weight: Weight) -> None:
    """Give modules whose weights were packed their weights again, as a copy with the same bits.

    Args:
        modules: The layers, as they were given to `joined`.
        weight: The joined weight. A quantised one gives what its integers stand for. One that is not taken is still the
            modules' own, and nothing is done.
    """
    if is_taken(weight) and modules[0].weight.is_meta:
        _assign(modules, weight.to_dense())


def _assign(modules: Sequence[nn.Linear], weight: torch.Tensor) -> None:
    parts = torch.split(weight, [module.out_features for module in modules])
    for module, part in zip(modules, parts, strict=True):
        module.weight = nn.Parameter(part, requires_grad=False)


def gelu(x: torch.Tensor, layer: JoinedLinear, approximate: Literal["none", "tanh"]) -> torch.Tensor:
    """GELU of a layer with packed weights, (..., inputs) to (..., outputs), in one pass and rounded once."""
    (weight,), (bias,) = layer.weights, layer.biases
    activated: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], approximate)
    return activated


def project(x: torch.Tensor, weight: Weight, bias: torch.Tensor | None = None) -> torch.Tensor:
    """A linear layer, (..., inputs) to (..., outputs).

    On a CPU that packs no weights, BLAS multiplies a large matrix with a few columns two to three times faster than a
    few rows with its transpose. Its product with a single vector uses one core only, so a single row is computed twice.

    Args:
        x: (..., inputs).
        weight: (outputs, inputs), packed or not; or a quantised weight.
        bias: (outputs,); None without.
    """
    if not isinstance(weight, torch.Tensor):
        return weight.product(x, bias)
    if weight.is_mkldnn:
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    rows = x.numel() // x.shape[-1]
    if x.device.type != "cpu" or rows > FEW_ROWS:
        return functional.linear(x, weight, bias)
    columns = x.reshape(rows, -1)
    columns = weight @ (columns if rows > 1 else columns.repeat(2, 1)).T
    result = columns[:, :rows].T
    return (result if bias is None else result + bias).reshape(*x.shape[:-1], -1)
