"""Checkpoints that compressed-tensors and bitsandbytes have quantised and written mean here what they mean there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from llava_ov_ros.bench.plain_path import plain_generate, plain_inputs
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.canonical_names import canonical_name

pytestmark = pytest.mark.extras
QUESTION, NEW_TOKENS = "Where is the mug?", 12
IGNORED = ["re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"]
WAYS = [
    {"num_bits": bits, "symmetric": symmetric, **strategy}
    for bits in (4, 8)
    for symmetric in (True, False)
    for strategy in ({"strategy": "channel"}, {"strategy": "tensor"}, {"strategy": "group", "group_size": 32})
]


def compressed(
    plain: Path, directory: Path, way: dict[str, Any], dtype: torch.dtype, ignored: list[str]
) -> dict[str, torch.Tensor]:
    """Writes a checkpoint as llm-compressor does, with the least and greatest weights as bounds of the integers.

    Returns:
        What the library makes of it again.
    """
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        apply_quantization_config,
    )
    from compressed_tensors.quantization.utils import calculate_qparams
    from transformers import LlavaOnevisionForConditionalGeneration

    model = LlavaOnevisionForConditionalGeneration.from_pretrained(plain, dtype=dtype)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**way))
    apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=ignored))
    for module in model.modules():
        if getattr(module, "quantization_scheme", None) is not None:
            size = {"tensor": module.weight.numel(), "channel": module.in_features}.get(way["strategy"])
            grouped = module.weight.reshape(-1, size or way["group_size"])
            scale, zero = calculate_qparams(grouped.amin(-1), grouped.amax(-1), module.quantization_scheme.weights)
            module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
            module.weight_zero_point.data.copy_(zero.reshape(module.weight_zero_point.shape))
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(directory)
    compressor.update_config(str(directory))
    shutil.copy(plain / "tokenizer.json", directory)
    compressor.decompress_model(model)
    return dict(model.state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_weights_of_compressed_tensors_are_what_it_makes_of_them(
    nano_directory: Path, tmp_path: Path, way: dict[str, Any], dtype: torch.dtype
) -> None:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    compressed(nano_directory, tmp_path / "model", way, dtype, IGNORED)
    stored = load_file(tmp_path / "model" / "model.safetensors")
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**way))
    engine = load_engine(str(tmp_path / "model"), device="cpu", dtype=str(dtype).removeprefix("torch."))
    found = {canonical_name(name): tensor for name, tensor in engine.transformers_model.named_parameters()}
    layers = [name.removesuffix("weight_packed") for name in stored if name.endswith("weight_packed")]
    assert len(layers) == 14
    for layer in layers:
        parts = {name.removeprefix(layer): tensor for name, tensor in stored.items() if name.startswith(layer)}
        expected = BaseCompressor.get_value_from_registry("pack-quantized").decompress(parts, scheme)["weight"]
        assert torch.equal(found[canonical_name(layer + "weight")], expected)


@pytest.mark.parametrize("ignored", [IGNORED, ["re:.*lm_head"]], ids=["layers", "tower and projector too"])
def test_answers_are_those_of_transformers_with_what_compressed_tensors_decompresses(
    nano_directory: Path, tmp_path: Path, make_clip: Any, ignored: list[str]
) -> None:
    way = {"num_bits": 4, "symmetric": False, "strategy": "group", "group_size": 16}
    decompressed = compressed(nano_directory, tmp_path / "model", way, torch.float32, ignored)
    engine = load_engine(str(tmp_path / "model"), device="cpu")
    answer = engine.answer([make_clip()], QUESTION, mode="video", max_new_tokens=NEW_TOKENS)
    model = engine.transformers_model
    weights = {canonical_name(name): tensor for name, tensor in decompressed.items()}
    # None of the engine's own weights is left.
    model.load_state_dict({name: weights[canonical_name(name)] for name in model.state_dict()}, strict=True)
    assert list(answer.token_ids) == plain_generate(engine, plain_inputs(engine, make_clip(), QUESTION), NEW_TOKENS)


@pytest.mark.parametrize("nested", [False, True], ids=["", "nested"])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_weights_of_bitsandbytes_are_what_it_makes_of_them(
    nano_directory: Path, tmp_path: Path, kind: str, nested: bool
) -> None:
    """By default, it quantises tower and projector, too."""
    from bitsandbytes import functional
    from transformers import BitsAndBytesConfig, LlavaOnevisionForConditionalGeneration

    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested)
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(
        nano_directory, dtype=torch.float32, quantization_config=how, device_map="cpu"
    )
    model.save_pretrained(tmp_path / "model")
    shutil.copy(nano_directory / "tokenizer.json", tmp_path / "model")
    stored = load_file(tmp_path / "model" / "model.safetensors")
    names = [name.removesuffix(".quant_map") for name in stored if name.endswith(".quant_map")]
    assert len([name for name in names if "vision" in name]) == 12 and len(names) == 28
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        engine = load_engine(str(tmp_path / "model"), device="cpu", dtype=str(dtype).removeprefix("torch."))
        found = {canonical_name(name): tensor for name, tensor in engine.transformers_model.named_parameters()}
        for name in names:
            parts = {one.removeprefix(f"{name}."): t.clone() for one, t in stored.items() if one.startswith(f"{name}.")}
            state = functional.QuantState.from_dict(parts, torch.device("cpu"))
            # As one row: on a CPU, it takes wrong scales for rows that are no whole number of blocks (0.50).
            shape, state.shape, state.dtype = state.shape, torch.Size((1, state.shape.numel())), dtype
            expected = functional.dequantize_4bit(stored[name], state).view(shape)
            assert torch.equal(found[canonical_name(name)], expected)
