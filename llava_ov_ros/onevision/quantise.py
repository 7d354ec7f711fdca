"""Weight-only int8 or int4 of the language model's layers, through torchao, on CUDA.

The vision tower, the projector, embeddings and head stay as they are: they are a small part of the bytes that a token
reads, and the head decides the answer. Quantised answers are not those of the unquantised model. The weights are loaded
whole and quantised then, so that loading needs the memory of the unquantised ones.
"""

from __future__ import annotations

from typing import Any

import torch

QUANTISATIONS = ("none", "int8", "int4")


def check_quantisation(name: str, device: torch.device) -> None:
    """Refuse a quantisation that cannot be had.

    Raises:
        ValueError: It is unknown, or not for this device.
    """
    if name not in QUANTISATIONS:
        raise ValueError(f"quantize is {name!r}: allowed are {', '.join(QUANTISATIONS)}")
    if name != "none" and device.type != "cuda":
        raise ValueError(
            f"quantize is {name!r}, but the device is {device}: quantised weights are for CUDA (docs/performance.md "
            "says what was measured on a CPU)"
        )


def quantise(model: Any, quantisation: str) -> None:
    """Quantises the language model's layers in place.

    Args:
        model: LlavaOnevisionForConditionalGeneration on CUDA; for int4 in bfloat16.
        quantisation: int8 or int4.

    Raises:
        ValueError: torchao is not installed.
    """
    try:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise ValueError(f"quantize is {quantisation!r}, which needs torchao: pip install torchao ({error})") from None
    config = Int8WeightOnlyConfig() if quantisation == "int8" else Int4WeightOnlyConfig()
    quantize_(model.model.language_model.layers, config)
