"""Products in int8 on a CPU are those of exact integers, near the exact ones, and the same in any company."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from llava_ov_ros.bench.plain_path import plain_generate, plain_inputs
from llava_ov_ros.onevision import Ask, Engine, load_engine
from llava_ov_ros.onevision.int8 import Int8Weight, int8_layers, int8_weight, why_no_int8
from llava_ov_ros.onevision.linear import give_back

Doubles = npt.NDArray[np.float64]

needs_int8 = pytest.mark.skipif(why_no_int8() != "", reason=f"no int8 here: {why_no_int8()}")
FORMATS = [torch.float32, torch.bfloat16, torch.float16]
# Share of a product that is lost where weights and inputs are normally distributed: each is rounded to steps of a 127th
# of its largest number, of which a 14th to a 30th is its standard deviation, and the errors add up as squares.
MOST_OFF = 0.02

# The tower and the projector give their weights up, too, to be packed as they are.
TOWER = ("model.vision_tower.", "model.multi_modal_projector.")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def exact(values: torch.Tensor) -> Doubles:
    return values.double().numpy()


def scales_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What 1 stands for in each row."""
    found: npt.NDArray[np.float32] = np.abs(values).max(-1, keepdims=True) / np.float32(127)
    return np.maximum(found, np.float32(1e-30))


def rounded_weight(weight: torch.Tensor) -> tuple[npt.NDArray[np.int64], Doubles]:
    """Integers of -127 to 127, and the scales of the outputs."""
    values = weight.float().numpy()
    scales = scales_of(values)
    return np.rint(values / scales).astype(np.int64), scales.astype(np.float64)


def rounded_inputs(x: torch.Tensor) -> tuple[npt.NDArray[np.int64], Doubles]:
    """The same for each row, where halves are rounded up, and scales are in bfloat16 if x is."""
    values = x.float().numpy()
    scales = scales_of(values)
    if x.dtype == torch.bfloat16:
        scales = torch.from_numpy(scales).bfloat16().float().numpy()
    return np.floor(values / scales + np.float32(128.5)).astype(np.int64) - 128, scales.astype(np.float64)


def product_of_integers(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> Doubles:
    """The layer by plain numpy: rounded to integers, multiplied, and scaled."""
    rows, row_scales = rounded_inputs(x)
    outputs, output_scales = rounded_weight(weight)
    # Exact: the sums stay below 2**53.
    result = (rows.astype(np.float64) @ outputs.T.astype(np.float64)) * row_scales * output_scales.T
    return result if bias is None else result + exact(bias)


@needs_int8
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@pytest.mark.parametrize("rows", [1, 2, 16, 17, 200])
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_product_is_that_of_the_integers(dtype: torch.dtype, rows: int, has_bias: bool) -> None:
    weight, x = numbers(1152, 896).to(dtype), numbers(rows, 896, seed=1).to(dtype)
    bias = numbers(1152, seed=2).to(dtype) if has_bias else None
    found = int8_weight([weight]).product(x, bias)
    assert found.dtype == dtype
    expected = product_of_integers(x, weight, bias)
    # Half a step of the number format, twice in bfloat16: before the row's scale, and after.
    step = {torch.float32: 2**-21, torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
    size = np.abs(expected) + (0 if bias is None else np.abs(exact(bias)))
    assert (np.abs(exact(found) - expected) <= step * size + 1e-9).all()


@needs_int8
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_a_product_is_near_the_exact_one_in_each_row(dtype: torch.dtype) -> None:
    """In rows of all sizes side by side, as those of a prompt's first token and its neighbours are."""
    weight, x = (numbers(896, 4864) / 70).to(dtype), numbers(64, 4864, seed=1)
    x = (x * torch.logspace(-2, 3, 64)[:, None]).to(dtype)
    found, expected = exact(int8_weight([weight]).product(x, None)), exact(x) @ exact(weight).T
    off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert 0.001 < off.max() < MOST_OFF


@needs_int8
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_a_row_has_the_same_bits_in_any_company(dtype: torch.dtype) -> None:
    weight, x = int8_weight([numbers(1152, 896).to(dtype)]), numbers(40, 896, seed=1).to(dtype)
    bias = numbers(1152, seed=2).to(dtype)
    together = weight.product(x, bias)
    for count in (1, 2, 3, 16, 33):
        assert torch.equal(weight.product(x[:count], bias), together[:count])
    assert torch.equal(weight.product(x.view(2, 20, 896), bias), together.view(2, 20, -1))


@needs_int8
def test_rows_without_a_number_and_rows_of_zeros() -> None:
    weight, bias, x = int8_weight([numbers(32, 64)]), numbers(32, seed=1), numbers(4, 64, seed=2)
    x[0], x[1, 3], x[2, 3] = 0, np.nan, np.inf
    found = weight.product(x, bias)
    assert torch.equal(found[0], bias)
    assert not found[1:3].isfinite().any()
    assert found[3].isfinite().all()


@needs_int8
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_layers_give_their_weights_up_and_get_back_what_the_integers_stand_for(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    modules = [nn.Linear(896, width, dtype=dtype).requires_grad_(False) for width in (896, 128, 128)]
    before = torch.cat([module.weight for module in modules])
    x = numbers(3, 896).to(dtype)
    taken = int8_layers(modules)
    (weight,) = taken.weights
    assert isinstance(weight, Int8Weight)
    assert weight.outputs == 1152
    assert weight.nbytes == 1152 * (896 + 4)
    assert all(module.weight.is_meta and module.weight.dtype == dtype for module in modules)
    bias = torch.cat([module.bias for module in modules])
    assert torch.equal(taken(x), int8_weight([before]).product(x, bias))
    give_back(modules, weight)
    integers, scales = rounded_weight(before)
    after = torch.cat([module.weight for module in modules])
    assert after.dtype == dtype
    assert np.allclose(exact(after), integers * scales, rtol=2**-8 if dtype == torch.bfloat16 else 2**-11, atol=0)


class RoundedLinear(nn.Module):
    """A linear layer that computes what one in int8 does, in float64."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., inputs) to (..., outputs)."""
        rows = x.reshape(-1, x.shape[-1])
        result = torch.from_numpy(product_of_integers(rows, self.weight, self.bias))
        return result.to(x.dtype).view(*x.shape[:-1], -1)


def of_transformers(directory: Path) -> Engine:
    """An engine whose `transformers_model` has rounded layers and a rounded head."""
    engine = load_engine(str(directory), device="cpu")
    model = engine.transformers_model
    for layer in model.model.language_model.layers:
        for part in (layer.self_attn, layer.mlp):
            for name, module in list(part.named_children()):
                if isinstance(module, nn.Linear):
                    setattr(part, name, RoundedLinear(module))
    model.lm_head = RoundedLinear(model.lm_head)
    return engine


@needs_int8
def test_tokens_are_those_of_transformers_with_rounded_layers(nano_directory: Path, make_clip: Any) -> None:
    small, theirs = load_engine(str(nano_directory), device="cpu", quantize="int8"), of_transformers(nano_directory)
    same = count = 0
    for seed in range(6):
        clip = make_clip(frames=1 + seed % 3, seed=seed)
        question = f"What is behind number {seed}?"
        expected = plain_generate(theirs, plain_inputs(theirs, clip, question), 12)
        found = small.answer([clip], question, max_new_tokens=12)
        assert list(found.token_ids)[:2] == expected[:2]
        same += sum(a == b for a, b in zip(found.token_ids, expected, strict=True))
        count += len(expected)
    # One integer that is rounded otherwise, because sums have another order, can turn a tie between random logits.
    assert same / count > 0.9


@needs_int8
def test_rooms_answers_in_all_ways(rooms: Path, make_clip: Any) -> None:
    """Alone and with others, again from caches, held to a grammar, chosen, sampled nowhere."""
    engine, plain = (load_engine(str(rooms), device="cpu", quantize=quantize) for quantize in ("int8", "none"))
    clips = [make_clip(frames=4)]
    asks = [Ask(f"Is there a {colour} mug on the table?", 8) for colour in ("red", "blue", "green", "white")]
    together = engine.answer_many(clips, asks)
    assert [answer.token_ids for answer in engine.answer_many(clips, asks)] == [one.token_ids for one in together]
    for ask, answer in zip(asks, together, strict=True):
        engine.drop_caches()
        (cold,) = engine.answer_many(clips, [ask])
        (warm,) = engine.answer_many(clips, [ask])
        assert cold.token_ids == answer.token_ids
        assert (warm.token_ids, warm.probabilities) == (cold.token_ids, cold.probabilities)
    held = Ask("Is there a mug?", 8, hook=engine.grammar_hook('start: "yes" | "no"'))
    assert engine.answer_many(clips, [held])[0].text in ("yes", "no")
    chosen, expected = (
        some.answer_many(clips, [Ask("Is there a mug?", choices=("yes", "no", "cannot tell"))])[0]
        for some in (engine, plain)
    )
    assert chosen.text == expected.text
    for ours, theirs in zip(chosen.choices, expected.choices, strict=True):
        assert ours.text == theirs.text
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1.0)


@needs_int8
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_unquantised_weights_are_gone(nano_directory: Path, dtype: str) -> None:
    small, plain = (
        load_engine(str(nano_directory), device="cpu", dtype=dtype, quantize=quantize) for quantize in ("int8", "none")
    )
    held = plain.memory_bytes()
    model = plain.transformers_model
    layers = [module for module in model.model.language_model.layers.modules() if isinstance(module, nn.Linear)]
    assert len(layers) == 14
    sizes = [module.weight.shape for module in (*layers, model.lm_head)]
    itemsize = getattr(torch, dtype).itemsize
    saved = sum(outputs * inputs * (itemsize - 1) - 4 * outputs for outputs, inputs in sizes)
    assert held - small.memory_bytes() == saved
    assert small.plan is not None
    assert small.plan.weights + small.plan.tables == small.memory_bytes()
    parameters = dict(small._state.checkpoint.model.named_parameters())  # type: ignore[union-attr]
    given_up = [name for name, one in parameters.items() if one.is_meta and not name.startswith(TOWER)]
    assert len(given_up) == 15
    assert not parameters["model.language_model.embed_tokens.weight"].is_meta


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 processors have AVX-512")
def test_a_processor_whose_sums_overflow_is_refused() -> None:
    """AVX-512 without VNNI, to which oneDNN can be held down."""
    code = "from llava_ov_ros.onevision import load_engine; load_engine('rooms', device='cpu', quantize='int8')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ValueError: quantize is 'int8', but this CPU has no VNNI instructions" in done.stderr
