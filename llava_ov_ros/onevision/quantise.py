"""Quantisation of the language model's layers: weights alone through torchao on CUDA, int8 products on a CPU.

The vision tower, the projector and the embeddings are not quantised. The head is on a CPU, where it is a quarter of the
bytes that are read for a token; on CUDA it is not. A quantised model's answers differ from those of the unquantised
model. The weights are quantised after they were loaded, so loading needs the memory of the unquantised model.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import torch

from .devices import on_device
from .int8 import int8_layers, why_no_int8
from .language import LanguageModel, language_model
from .linear import joined

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
    if name == "int4" and device.type == "cpu":
        raise ValueError(
            f"quantize is 'int4', but the device is {device}: on a CPU int4 is slower than bfloat16 for several "
            "questions at once, and further off than int8 (docs/performance.md): set quantize to int8"
        )
    if name == "int8" and device.type == "cpu" and (reason := why_no_int8()):
        raise ValueError(f"quantize is 'int8', but {reason}: set quantize to none")
    if name == "int4" and dtype != torch.bfloat16:
        given = str(dtype).removeprefix("torch.")
        raise ValueError(f"quantize is 'int4', but dtype is {given}: int4 is computed in bfloat16, set dtype to that")


def quantised_language_model(model: Any, quantisation: str, device: torch.device) -> LanguageModel:
    """The language model's weights of a OneVision or LlavaOnevisionForConditionalGeneration, quantised.

    Args:
        model: The model; it gives its weights up, one layer after the other.
        quantisation: none, int8 or int4, as checked by `check_quantisation`.
        device: Device of the model.

    Raises:
        ValueError: See `quantise`.
    """
    if quantisation == "none":
        return language_model(model)
    if device.type == "cpu":
        return language_model(model, take=int8_layers, take_head=int8_layers)
    with on_device(device):
        quantise(model, quantisation)
    return language_model(model, take=partial(joined, quantised=True))


def quantise(model: Any, quantisation: str) -> None:
    """Quantise the language model's layers in place, through torchao.

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
