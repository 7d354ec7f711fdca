"""What is quantised where: int4 on a CPU is refused with a reason, and so is int8 where it cannot be computed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.quantise import _configuration, check_quantisation, quantise


def test_a_cpu_is_told_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"quantize is 'int4', but the device is cpu: .* set quantize to int8"):
        load_engine("rooms", device="cpu", quantize="int4")
    monkeypatch.setattr("llava_ov_ros.onevision.quantise.why_no_int8", lambda: "this CPU is too old")
    with pytest.raises(ValueError, match=r"quantize is 'int8', but this CPU is too old: set quantize to none"):
        load_engine("rooms", device="cpu", quantize="int8")


def test_an_unknown_quantisation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"quantize is 'int3': allowed are none, int8, int4"):
        load_engine("rooms", device="cpu", quantize="int3")


def test_int4_is_computed_in_bfloat16_only() -> None:
    with pytest.raises(ValueError, match=r"quantize is 'int4', but dtype is float16: .* set dtype to that"):
        check_quantisation("int4", torch.device("cuda"), torch.float16)
    check_quantisation("int4", torch.device("cuda"), torch.bfloat16)
    check_quantisation("int8", torch.device("cuda"), torch.float16)


@pytest.mark.parametrize("quantisation", ["int8", "int4"])
def test_without_the_right_torchao_the_remedy_is_said(
    nano_directory: Path, monkeypatch: pytest.MonkeyPatch, quantisation: str
) -> None:
    model = load_engine(str(nano_directory), device="cpu").transformers_model

    def quantize(*_: Any) -> None:
        raise ImportError("Requires mslk >= 1.0.0")

    other: Any = ModuleType("torchao.quantization")
    other.quantize_, other.Int8WeightOnlyConfig, other.Int4WeightOnlyConfig = quantize, dict, dict
    for found in (None, other):
        monkeypatch.setitem(sys.modules, "torchao.quantization", found)
        with pytest.raises(ValueError, match=f"quantize is '{quantisation}', which needs torchao 0.18: pip install"):
            quantise(model, quantisation)


def test_a_layer_that_torchao_leaves_out_is_no_success(nano_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that its groups do not fit, torchao skips, and says so in its log only."""
    model = load_engine(str(nano_directory), device="cpu").transformers_model
    other: Any = ModuleType("torchao.quantization")
    other.quantize_, other.Int8WeightOnlyConfig, other.Int4WeightOnlyConfig = (lambda *_: None), dict, dict
    monkeypatch.setitem(sys.modules, "torchao.quantization", other)
    with pytest.raises(ValueError, match="torchao left 14 of 14 layers as they were"):
        quantise(model, "int8")


@pytest.mark.extras
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_int8_weights_are_near_the_models_own(nano_directory: Path, dtype: str) -> None:
    """What runs on a CPU: transformers' own forward pass over the quantised layers."""
    plain, small = (load_engine(str(nano_directory), device="cpu", dtype=dtype).transformers_model for _ in range(2))
    quantise(small, "int8")
    ids = torch.arange(40)[None] + 100
    with torch.inference_mode():
        ours, theirs = (model(input_ids=ids).logits.float() for model in (small, plain))
    apart = float((ours - theirs).norm() / theirs.norm())
    assert 0 < apart < 0.05
    layer = small.model.language_model.layers[0]
    assert type(layer.self_attn.q_proj.weight) is not torch.nn.Parameter
    assert type(small.lm_head.weight) is torch.nn.Parameter


@pytest.mark.extras
@pytest.mark.parametrize(("widths", "group"), [({896, 4864}, 128), ({3584, 18944}, 128), ({64, 128}, 64)], ids=str)
def test_int4_takes_the_packing_that_torch_has_a_kernel_for(widths: set[int], group: int) -> None:
    from torchao.quantization.quantize_.workflows import Int4PackingFormat

    configuration = _configuration("int4", widths)
    assert configuration.int4_packing_format == Int4PackingFormat.TILE_PACKED_TO_4D
    assert configuration.group_size == group
    with pytest.raises(ValueError, match=r"layers with \[72\] inputs fit no group"):
        _configuration("int4", {72})


@pytest.mark.extras
def test_int4_weights_are_near_the_models_own_before_they_are_packed() -> None:
    """Packing and product are torch's, on CUDA only; the rounding is the same anywhere."""
    from torchao.quantization.quant_primitives import (
        MappingType,
        _choose_qparams_affine_tinygemm,
        _dequantize_affine_tinygemm,
        _quantize_affine_tinygemm,
    )

    weight = torch.randn(64, 896, generator=torch.Generator().manual_seed(0)).bfloat16()
    block = (1, _configuration("int4", {896}).group_size)
    bounds = {"quant_min": 0, "quant_max": 15}
    scale, zero = _choose_qparams_affine_tinygemm(
        weight, MappingType.ASYMMETRIC, block, torch.int32, scale_dtype=torch.bfloat16, **bounds
    )
    whole = _quantize_affine_tinygemm(weight, block, scale, zero, torch.int32, **bounds)
    back = _dequantize_affine_tinygemm(whole, block, scale, zero, torch.int32, output_dtype=torch.bfloat16, **bounds)
    assert float((back - weight).norm() / weight.norm()) < 0.15


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("quantisation", ["int8", "int4"])
def test_a_quantised_model_answers(nano_directory: Path, make_clip: Any, quantisation: str) -> None:
    pytest.importorskip("torchao", minversion="0.18")
    plain = load_engine(str(nano_directory), device="cuda")
    small = load_engine(str(nano_directory), device="cuda", quantize=quantisation)
    first, second = (engine.answer([make_clip()], "Where?", max_new_tokens=8) for engine in (plain, small))
    assert len(second.token_ids) == 8
    assert second.probabilities != first.probabilities
