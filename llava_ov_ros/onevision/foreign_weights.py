"""Refuses weights that cannot be computed with: adapters, and weights in formats of quantisation that are not read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..bounds import shortened
from ..checkpoints import CheckpointError

PLAIN_TYPES = ("F32", "F16", "BF16", "F64")
# Files of quantisation tools (AutoAWQ, AutoGPTQ, ModelOpt) beside config.json.
_QUANTISED_FILES = ("quant_config.json", "quantize_config.json", "hf_quant_config.json")
# Names of tensors in each format of quantised weights, for checkpoints without a file that names the format.
_QUANTISED_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.(absmax|quant_map|nested_absmax|quant_state\..*|SCB|weight_format)$"), "bitsandbytes"),
    (re.compile(r"\.(weight_packed|weight_shape|weight_zero_point)$"), "compressed-tensors"),
    (re.compile(r"\.(qweight|qzeros|g_idx)$"), "AWQ or GPTQ"),
    (re.compile(r"\.(weight_scale(_inv)?|input_scale)$"), "fp8 or int8 with scales"),
)
_ADAPTER_NAMES = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|base_layer|modules_to_save|lora_magnitude_vector)\b")
READ = "of weights that are quantised, compressed-tensors' pack-quantized and bitsandbytes' nf4 and fp4 are read"
REMEDY = "take the checkpoint in bfloat16 or float16 instead (the parameter quantize makes it smaller while it loads)"


def check_adapters(directory: Path) -> None:
    """Refuse a directory with an adapter (PEFT), alone or beside a model, since it would be ignored unless merged.

    Raises:
        CheckpointError: The directory has an adapter; the message names its base model and how to merge it.
    """
    file = directory / "adapter_config.json"
    weights = [one.name for one in sorted(directory.glob("adapter_model*"))]
    if not file.is_file() and not weights:
        return
    try:
        content = json.loads(file.read_text())
        base = content.get("base_model_name_or_path") if isinstance(content, dict) else None
    except (OSError, ValueError, RecursionError):
        base = None
    beside = (directory / "config.json").is_file()
    raise CheckpointError(
        f"model directory {directory} holds an adapter ({file.name if file.is_file() else weights[0]}), made for "
        f"{shortened(str(base or 'a model that it does not name'))}"
        + (", beside a whole model: which of the two is meant cannot be told" if beside else ", and no whole model")
        + ": merge it (PeftModel.from_pretrained(...).merge_and_unload().save_pretrained(...)) and name the merged "
        "directory" + (", or move the adapter's files elsewhere to use the model without it" if beside else "")
    )


def check_quantised(directory: Path, raw: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Refuse weights that are not plain floating-point numbers.

    Args:
        directory: Directory of the checkpoint.
        raw: Content of config.json, without what it says of quantised weights that are read.
        types: Type of each tensor by name, as in safetensors (F32, BF16, I8, ...), without those that are read.

    Raises:
        CheckpointError: Weights are quantised, or of an adapter that was saved without merging; the message names the
            format.
    """
    parts = [raw, *(part for part in (raw.get("text_config"), raw.get("vision_config")) if isinstance(part, Mapping))]
    for part in parts:
        for field in ("quantization_config", "compression_config"):
            if part.get(field) is not None:
                found = part[field]
                method = found.get("quant_method") if isinstance(found, Mapping) else None
                raise CheckpointError(
                    f"{directory / 'config.json'}: {field} says that the weights are quantised beforehand "
                    f"({shortened(str(method or 'by a method that it does not name'))}), which cannot be read here "
                    f"({READ}): {REMEDY}"
                )
    for name in types:
        if _ADAPTER_NAMES.search(name):
            raise CheckpointError(
                f"model directory {directory}: tensor {shortened(name)} is of an adapter (PEFT) that was saved "
                "without merging: "
                "merge it (merge_and_unload) and save the model again"
            )
    for name in types:
        for pattern, method in _QUANTISED_NAMES:
            if pattern.search(name):
                raise CheckpointError(
                    f"model directory {directory}: tensor {shortened(name)} is of weights that are quantised "
                    "beforehand "
                    f"({method}), which cannot be read here: {REMEDY}"
                )
    for name, kind in types.items():
        if kind not in PLAIN_TYPES and not name.endswith(("position_ids", ".inv_freq")):
            raise CheckpointError(
                f"model directory {directory}: tensor {shortened(name)} is of type {kind}, so that the weights are "
                "quantised "
                f"beforehand or damaged: {REMEDY}"
            )
    for file in _QUANTISED_FILES:
        if (directory / file).is_file():
            raise CheckpointError(
                f"model directory {directory} has a {file}: the weights are quantised beforehand, which cannot be read "
                f"here: {REMEDY}"
            )
