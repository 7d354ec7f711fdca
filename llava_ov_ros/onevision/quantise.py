"""Weight-only int8 or int4 of the language model's layers, through torchao, on CUDA.

The vision tower, the projector, embeddings and head stay as they are: they are a small part of the bytes that a token
reads, and the head decides the answer. Quantised answers are not those of the unquantised model. The weights are loaded
whole and quantised then, so that loading needs the memory of the unquantised ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

QUANTISATIONS = ("none", "int8", "int4")
# Neighbouring weights that share a scale in int4, largest first: those that torch's kernel knows.
GROUP_SIZES = (128, 64, 32)


def check_quantisation(name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a quantisation that cannot be had.

    Raises:
        ValueError: It is unknown, or not for this device or number format.
    """
    if name not in QUANTISATIONS:
        raise ValueError(f"quantize is {name!r}: allowed are {', '.join(QUANTISATIONS)}")
    if name != "none" and device.type != "cuda":
        raise ValueError(
            f"quantize is {name!r}, but the device is {device}: quantised weights are for CUDA (docs/performance.md "
            "says what was measured on a CPU)"
        )
    if name == "int4" and dtype != torch.bfloat16:
        given = str(dtype).removeprefix("torch.")
        raise ValueError(f"quantize is 'int4', but dtype is {given}: int4 is computed in bfloat16, set dtype to that")


def quantise(model: Any, quantisation: str) -> None:
    """Quantises the language model's layers in place.

    Args:
        model: LlavaOnevisionForConditionalGeneration; for int4 on CUDA and in bfloat16.
        quantisation: int8 or int4.

    Raises:
        ValueError: torchao is not installed or cannot do it, or a layer's width fits no group of int4.
    """
    layers = model.model.language_model.layers
    linear = [module for module in layers.modules() if isinstance(module, torch.nn.Linear)]
    before = [module.weight for module in linear]
    try:
        from torchao.quantization import quantize_

        quantize_(layers, _configuration(quantisation, {module.in_features for module in linear}))
    except (ImportError, TypeError) as error:
        # What another release lacks, has renamed, or wants to have beside it.
        raise ValueError(
            f"quantize is {quantisation!r}, which needs torchao 0.18: pip install 'torchao>=0.18,<0.19' ({error})"
        ) from None
    left = sum(module.weight is weight for module, weight in zip(linear, before, strict=True))
    if left:
        raise ValueError(f"quantize is {quantisation!r}, but torchao left {left} of {len(linear)} layers as they were")


def _configuration(quantisation: str, widths: Collection[int]) -> Any:
    """What torchao is to do with linear layers of these numbers of inputs."""
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if quantisation == "int8":
        return Int8WeightOnlyConfig()
    fitting = [size for size in GROUP_SIZES if not any(width % size for width in widths)]
    if not fitting:
        raise ValueError(f"quantize is 'int4', but layers with {sorted(widths)} inputs fit no group of {GROUP_SIZES}")
    # The default packing needs a further package; this one is torch's own kernel.
    return Int4WeightOnlyConfig(group_size=fitting[0], int4_packing_format="tile_packed_to_4d")
