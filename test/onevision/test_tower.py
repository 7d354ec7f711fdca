"""The packed tower gives what transformers' own gives, however many tiles it gets, and holds no weight twice."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision.checkpoint import Checkpoint, assembled
from llava_ov_ros.onevision.linear import packs_weights
from llava_ov_ros.onevision.of_transformers import twin
from llava_ov_ros.onevision.plain_config import PlainConfig
from llava_ov_ros.onevision.prompt import DEFAULT_STYLE, PROMPT_STYLES
from llava_ov_ros.onevision.shapes import END_ID, nano_config, random_tensors, slice_config
from llava_ov_ros.onevision.tokens import PromptTokenizer
from llava_ov_ros.onevision.tower import run_tower, tower_bytes

CPU = torch.device("cpu")
FORMATS = [torch.float32, torch.bfloat16]
# Relative distances: what float32 leaves over two layers, and how much farther than transformers bfloat16 may be.
ROUNDING = 2e-6
MOST_FARTHER = 1.05

pytestmark = pytest.mark.skipif(not packs_weights(CPU, torch.float32), reason="weights are packed on x86-64 only")


def wide_config() -> PlainConfig:
    """SigLIP's true widths, heads and patches in two layers, with the smallest language model behind them."""
    return replace(nano_config(), vision_config=slice_config().vision_config)


@pytest.fixture(scope="module")
def checkpoint_of(rooms: Path) -> Callable[..., Checkpoint]:
    """Makes a checkpoint with random weights."""

    def make(
        config: PlainConfig,
        dtype: torch.dtype = torch.float32,
        attention: str = "sdpa",
        tensors: dict[str, torch.Tensor] | None = None,
    ) -> Checkpoint:
        return assembled(
            config,
            dict(random_tensors(config, 0, CPU, dtype)) if tensors is None else tensors,
            PromptTokenizer.from_file(rooms / "tokenizer.json"),
            name="random",
            style=PROMPT_STYLES[DEFAULT_STYLE],
            end_ids=frozenset({END_ID}),
            device=CPU,
            attention=attention,
        )

    return make


def tiles(config: PlainConfig, count: int, seed: int = 0) -> torch.Tensor:
    """Random pixels, (count, 3, size, size), in the range of normalised ones."""
    size = config.vision_config.image_size
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def features_of_transformers(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """The configured layer's states of transformers' tower, through transformers' projector."""
    seen = model.model.vision_tower(pixels, output_hidden_states=True, return_dict=True)
    features: torch.Tensor = model.model.multi_modal_projector(seen.hidden_states[model.config.vision_feature_layer])
    return features


def distance(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Norm of the difference over that of the truth."""
    return float((found.double() - truth).norm() / truth.norm())


@pytest.mark.parametrize("config", [nano_config(), wide_config()], ids=["nano", "wide"])
@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@torch.inference_mode()
def test_features_are_those_of_transformers(
    checkpoint_of: Callable[..., Checkpoint], config: PlainConfig, dtype: torch.dtype
) -> None:
    if not packs_weights(CPU, dtype):
        pytest.skip(f"this CPU has no instructions for {dtype}")
    checkpoint = checkpoint_of(config, dtype)
    assert checkpoint.tower is not None
    batches = [tiles(config, count, seed=count).to(dtype) for count in (1, 2, 4)]
    ours = [run_tower(checkpoint.tower, pixels) for pixels in batches]
    checkpoint.fill_modules()
    model = twin(checkpoint.model)
    theirs = [features_of_transformers(model, pixels) for pixels in batches]
    model.double()
    for pixels, found, given in zip(batches, ours, theirs, strict=True):
        truth = features_of_transformers(model, pixels.double())
        assert found.dtype == dtype and found.shape == given.shape
        print(len(pixels), distance(found, truth), distance(given, truth))
        if dtype == torch.float32:
            assert distance(found, truth) < ROUNDING
        else:
            assert distance(found, truth) < MOST_FARTHER * distance(given, truth)


@pytest.mark.parametrize("layer", [-4, -3, -2, -1, 0, 1, 2, 3])
@torch.inference_mode()
def test_features_are_those_of_the_configured_layer(checkpoint_of: Callable[..., Checkpoint], layer: int) -> None:
    config = nano_config()
    vision = replace(config.vision_config, num_hidden_layers=3)
    checkpoint = checkpoint_of(replace(config, vision_config=vision, vision_feature_layer=layer))
    assert checkpoint.tower is not None and len(checkpoint.tower.layers) == layer % 4
    pixels = tiles(config, 2)
    found = run_tower(checkpoint.tower, pixels)
    checkpoint.fill_modules()
    model = twin(checkpoint.model)
    assert distance(found, features_of_transformers(model.double(), pixels.double())) < ROUNDING


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
@torch.inference_mode()
def test_a_tile_does_not_depend_on_the_others_of_its_batch(
    checkpoint_of: Callable[..., Checkpoint], dtype: torch.dtype
) -> None:
    if not packs_weights(CPU, dtype):
        pytest.skip(f"this CPU has no instructions for {dtype}")
    config = nano_config()
    tower = checkpoint_of(config, dtype).tower
    assert tower is not None
    pixels = tiles(config, 4).to(dtype)
    alone = torch.zeros_like(pixels)
    alone[2] = pixels[2]
    assert torch.equal(run_tower(tower, pixels)[2], run_tower(tower, alone)[2])


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_no_weight_is_held_twice(checkpoint_of: Callable[..., Checkpoint], dtype: torch.dtype) -> None:
    if not packs_weights(CPU, dtype):
        pytest.skip(f"this CPU has no instructions for {dtype}")
    config = nano_config()
    tensors = dict(random_tensors(config, 0, CPU, dtype))
    ours = {name: tensor for name, tensor in tensors.items() if "vision_tower" in name or "projector" in name}
    stored = sum(tensor.nbytes for tensor in ours.values())
    linear = [weakref.ref(t) for name, t in ours.items() if ".encoder." in name and t.dim() == 2]
    assert len(linear) == 6 * config.vision_config.num_hidden_layers
    ours.clear()
    checkpoint = checkpoint_of(config, dtype, tensors=tensors)
    assert all(one() is None for one in linear), "a weight is still there after it was packed"
    parts = checkpoint.model.model.vision_tower, checkpoint.model.model.multi_modal_projector
    left = sum(one.nbytes for part in parts for one in part.parameters() if not one.is_meta)
    assert checkpoint.tower is not None
    assert left + tower_bytes(checkpoint.tower) == stored


@pytest.mark.parametrize(("dtype", "attention"), [(torch.float32, "eager"), (torch.float16, "sdpa")], ids=str)
def test_other_attention_and_formats_run_through_the_modules(
    checkpoint_of: Callable[..., Checkpoint], dtype: torch.dtype, attention: str
) -> None:
    checkpoint = checkpoint_of(nano_config(), dtype, attention)
    assert checkpoint.tower is None
    assert not any(weight.is_meta for weight in checkpoint.model.model.vision_tower.parameters())
