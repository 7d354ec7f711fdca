"""Weight-only int8 or int4 quantisation of the language model's layers, through torchao, on CUDA.

The vision tower, the projector, embeddings and head are not quantised: they are a small part of the bytes read per
token, and the head decides the answer. A quantised model's answers differ from those of the unquantised model. The
weights are quantised after they were loaded, so loading needs the memory of the unquantised model.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

QUANTISATIONS = ("none", "int8", "int4")
# Numbers of neighbouring weights that share a scale in int4, as supported by torch's kernel, largest first.
GROUP_SIZES = (128, 64, 32)


def check_quantisation(name: str, device: torch.device, dtype: torch.dtype) -> None:
    """Check that a quantisation is known and available.

    Raises:
        ValueError: The quantisation is unknown, or not available on this device or for this number format.
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
    """Quantise the language model's layers in place.

    Args:
        model: OneVision or LlavaOnevisionForConditionalGeneration; for int4 on CUDA and in bfloat16.
        quantisation: int8 or int4.

    Raises:
        ValueError: torchao is not installed or of another release, left a layer unquantised, or a layer's width is no
            multiple of a group size of int4.
    """
    layers = model.model.language_model.layers
    linear = [module for module in layers.modules() if isinstance(module, torch.nn.Linear)]
    before = [module.weight for module in linear]
    try:
        from torchao.quantization import quantize_

        quantize_(layers, _configuration(quantisation, {module.in_features for module in linear}))
    except (ImportError, TypeError) as error:
        # Another release of torchao lacks or has renamed a name, or needs a further package.
        raise ValueError(
            f"quantize is {quantisation!r}, which needs torchao 0.18: pip install 'torchao>=0.18,<0.19' ({error})"
        ) from None
    left = sum(module.weight is weight for module, weight in zip(linear, before, strict=True))
    if left:
        raise ValueError(f"quantize is {quantisation!r}, but torchao left {left} of {len(linear)} layers as they were")


def _configuration(quantisation: str, widths: Collection[int]) -> Any:
    """The configuration with which torchao quantises linear layers of these numbers of inputs."""
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig

    if quantisation == "int8":
        return Int8WeightOnlyConfig()
    fitting = [size for size in GROUP_SIZES if not any(width % size for width in widths)]
    if not fitting:
        raise ValueError(f"quantize is 'int4', but layers with {sorted(widths)} inputs fit no group of {GROUP_SIZES}")
    # The default packing needs a further package; this one uses torch's own kernel.
    return Int4WeightOnlyConfig(group_size=fitting[0], int4_packing_format="tile_packed_to_4d")
