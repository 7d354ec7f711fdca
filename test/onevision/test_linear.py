"""Joined and packed linear layers give what torch's own linear layers give, and take no memory twice."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.canonical_names import canonical_name
from llava_ov_ros.onevision.linear import give_back, joined, packed, packs_weights, project

CPU = torch.device("cpu")
FORMATS = [torch.float32, torch.bfloat16]


def layers(dtype: torch.dtype, inputs: int = 896, widths: tuple[int, ...] = (896, 128, 128)) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(inputs, width, dtype=dtype).requires_grad_(False) for width in widths]


def test_float32_and_bfloat16_on_a_cpu_are_packed() -> None:
    assert packs_weights(CPU, torch.float32) is (platform.machine() == "x86_64")
    assert packs_weights(CPU, torch.bfloat16) is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    for device, dtype in (("cpu", torch.float16), ("cuda", torch.float32), ("cuda", torch.bfloat16)):
        assert not packs_weights(torch.device(device), dtype)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("rows", [1, 2, 16, 17, 200])
def test_a_joined_layer_gives_what_its_layers_give(dtype: torch.dtype, rows: int) -> None:
    modules = layers(dtype)
    x = torch.randn(2, rows, 896, generator=torch.Generator().manual_seed(1)).to(dtype)
    apart = torch.cat([functional.linear(x, module.weight, module.bias) for module in modules], dim=-1)
    together = joined(modules)(x)
    if dtype == torch.bfloat16 and packs_weights(CPU, dtype):
        # With AMX, torch adds in an order that depends on the number of outputs.
        assert (together != apart).float().mean() < 1e-3, "a packed product has the bits of torch's own"
    # The order of the sums may differ.
    order = 1e-5 if dtype == torch.float32 else 0.02
    assert together.dtype == dtype
    assert torch.allclose(together, apart, rtol=order, atol=order)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_no_weight_is_kept_twice_and_all_can_be_given_back(dtype: torch.dtype) -> None:
    modules = layers(dtype)
    before = [module.weight.clone() for module in modules]
    (weight,) = joined(modules).weights
    if packs_weights(CPU, dtype):
        assert weight.is_mkldnn and all(module.weight.is_meta for module in modules)
    else:
        assert all(
            module.weight.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr() for module in modules
        )
    give_back(modules, weight)
    assert all(torch.equal(module.weight, one) for module, one in zip(modules, before, strict=True))


def test_quantised_layers_are_used_as_they_are() -> None:
    modules = layers(torch.float32)
    weights = [module.weight for module in modules]
    found = joined(modules, quantised=True)
    assert all(one is given for one, given in zip(found.weights, weights, strict=True))
    assert all(module.weight is given for module, given in zip(modules, weights, strict=True))
    x = torch.randn(40, 896)
    apart = torch.cat([functional.linear(x, module.weight, module.bias) for module in modules], dim=-1)
    assert torch.equal(found(x), apart)


def test_a_packed_weight_has_the_memory_of_the_weight_itself() -> None:
    weight = torch.randn(720, 64).bfloat16()
    packing = packed(weight)
    assert packing.nbytes == weight.nbytes
    x = torch.randn(3, 64).bfloat16()
    assert torch.allclose(project(x, packing), functional.linear(x, weight), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_gets_the_weights_of_the_file(nano_directory: Path, make_clip: Any, dtype: str) -> None:
    """All of them, with the engine's own answers before and after."""
    engine = load_engine(str(nano_directory), device="cpu", dtype=dtype)
    stored = {canonical_name(n): t for n, t in load_file(nano_directory / "model.safetensors").items()}
    held = engine.memory_bytes()
    weights = sum(tensor.numel() for tensor in stored.values()) * getattr(torch, dtype).itemsize
    language = engine._loaded().language
    assert held == weights + language.cos.nbytes + language.sin.nbytes
    before = engine.answer([make_clip()], "Where?", max_new_tokens=8)
    model = engine.transformers_model
    found = {canonical_name(name): tensor for name, tensor in model.named_parameters()}
    assert found.keys() == stored.keys()
    assert all(torch.equal(found[name], stored[name].to(getattr(torch, dtype))) for name in stored)
    engine.drop_caches()
    after = engine.answer([make_clip()], "Where?", max_new_tokens=8)
    assert (after.token_ids, after.probabilities) == (before.token_ids, before.probabilities)
