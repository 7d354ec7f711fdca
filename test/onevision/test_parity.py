"""The engine gives what `transformers` generate gives: same visual tokens, same answers, in all modes."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.bench.plain_path import plain_generate
from llava_ov_ros.onevision.checkpoint import assembled
from llava_ov_ros.onevision.features import anyres_token_count, anyres_tokens, tower_features
from llava_ov_ros.onevision.of_transformers import twin
from llava_ov_ros.onevision.pixels import anyres_tiles, normalised, padded_square, squashed
from llava_ov_ros.onevision.prompt import DEFAULT_STYLE, PROMPT_STYLES
from llava_ov_ros.onevision.shapes import END_ID, nano_config, random_tensors
from llava_ov_ros.onevision.tokens import PromptTokenizer

NEW_TOKENS = 12


def reference_answer(engine: Any, ids: list[int], **pixels: Any) -> list[int]:
    tokens = torch.tensor([ids])
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **pixels}
    return plain_generate(engine, inputs, NEW_TOKENS)


def prompt_ids(engine: Any, text_before: str, visual: list[int], text_after: str) -> list[int]:
    """Written out by hand from the original template, so that the engine's own builder is what is tested."""
    tokenizer = engine._state.checkpoint.tokenizer._tokenizer
    tokenizer.encode_special_tokens = False
    try:
        before = tokenizer.encode(
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n" + text_before
        ).ids
        after = tokenizer.encode(text_after + "<|im_end|>\n<|im_start|>assistant\n").ids
    finally:
        tokenizer.encode_special_tokens = True
    return before + visual + after


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_video_is_generate(nano: Any, make_clip: Any, frames: int) -> None:
    clip = make_clip(frames=frames)
    answer = nano.answer([clip], "Where is the mug?", mode="video", max_new_tokens=NEW_TOKENS)
    config = nano._state.checkpoint.model.config
    visual = [config.video_token_index] * (frames * 9 + 1)
    ids = prompt_ids(nano, "", visual, "\nWhere is the mug?")
    pixels = normalised(torch.cat([squashed(f.rgb, 70) for f in clip.frames]), torch.float32)[None]
    assert answer.prompt_tokens == len(ids)
    assert list(answer.token_ids) == reference_answer(nano, ids, pixel_values_videos=pixels)


def test_multi_image_is_generate(nano: Any, make_clip: Any) -> None:
    clip = make_clip(frames=3)
    answer = nano.answer([clip], "What differs?", mode="multi_image", max_new_tokens=NEW_TOKENS)
    image = [nano._state.checkpoint.model.config.image_token_index] * 26
    tokenizer = nano._state.checkpoint.tokenizer._tokenizer
    newline = tokenizer.encode("\n").ids
    ids = prompt_ids(nano, "", [*image, *newline, *image, *newline, *image], "\nWhat differs?")
    pixels = torch.stack([normalised(padded_square(f.rgb, 70), torch.float32) for f in clip.frames])
    sizes = torch.tensor([f.rgb.shape[:2] for f in clip.frames])
    reference = reference_answer(
        nano, ids, pixel_values=pixels, image_sizes=sizes, batch_num_images=torch.tensor([len(clip.frames)])
    )
    assert answer.prompt_tokens == len(ids)
    assert list(answer.token_ids) == reference


@pytest.mark.parametrize("size", [(120, 160), (70, 70), (40, 300), (333, 60), (400, 420)])
def test_image_is_generate(nano: Any, make_clip: Any, size: tuple[int, int]) -> None:
    clip = make_clip(frames=2, height=size[0], width=size[1])
    answer = nano.answer([clip], "Describe it.", mode="image", max_new_tokens=NEW_TOKENS)
    model = nano.transformers_model
    rgb = clip.frames[-1].rgb
    tiles, grid = anyres_tiles(rgb, 70, model.config.image_grid_pinpoints)
    pixels = normalised(tiles, torch.float32)
    with torch.inference_mode():
        count = len(anyres_tokens(tower_features(model, pixels), model.model.image_newline, grid, size))
    ids = prompt_ids(nano, "", [model.config.image_token_index] * count, "\nDescribe it.")
    reference = reference_answer(nano, ids, pixel_values=pixels[None], image_sizes=torch.tensor([size]))
    assert answer.prompt_tokens == len(ids)
    assert list(answer.token_ids) == reference


def test_two_cameras_are_named_to_the_model(nano: Any, make_clip: Any) -> None:
    clips = [make_clip("front", frames=2, seed=1), make_clip("rear", frames=1, seed=2)]
    answer = nano.answer(clips, "Is the way free?", mode="video", max_new_tokens=NEW_TOKENS)
    video = nano._state.checkpoint.model.config.video_token_index
    tokenizer = nano._state.checkpoint.tokenizer._tokenizer
    between = tokenizer.encode("\nrear:\n").ids
    ids = prompt_ids(nano, "front:\n", [*[video] * 19, *between, *[video] * 10], "\nIs the way free?")
    assert answer.prompt_tokens == len(ids)
    # transformers has no prompt of two clips of different lengths in one call, so features go in by hand.
    assert len(answer.token_ids) == NEW_TOKENS


# Visual tokens of one image at 384 px in the original code (LLaVA-NeXT df179663) and in transformers 5.23.
ORIGINAL_COUNTS = {
    (300, 300): 1485,
    (240, 320): 1317,
    (480, 640): 2929,
    (480, 848): 4501,
    (720, 1280): 5967,
    (1280, 720): 6009,
    (900, 1600): 7269,
    (1080, 1920): 7269,
    (2304, 2304): 7371,
    (384, 384): 1485,
}


@pytest.mark.parametrize("size", ORIGINAL_COUNTS)
def test_anyres_token_counts_of_the_true_shape(make_clip: Any, size: tuple[int, int]) -> None:
    pinpoints = [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)]
    rgb = make_clip(frames=1, height=size[0], width=size[1]).frames[0].rgb
    tiles, grid = anyres_tiles(rgb, 384, pinpoints)
    features = torch.zeros(len(tiles), 729, 2)
    assert len(anyres_tokens(features, torch.zeros(2), grid, size)) == ORIGINAL_COUNTS[size]
    assert anyres_token_count(grid, 27, size) == ORIGINAL_COUNTS[size]


@pytest.mark.parametrize("layer", [-4, -3, -2, -1, 0, 1, 2, 3])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_features_are_those_of_the_configured_layer_and_no_other_is_kept(
    rooms: Path, layer: int, attention: str
) -> None:
    config = nano_config()
    config = replace(
        config, vision_config=replace(config.vision_config, num_hidden_layers=3), vision_feature_layer=layer
    )
    checkpoint = assembled(
        config,
        dict(random_tensors(config, 0, torch.device("cpu"), torch.float32)),
        PromptTokenizer.from_file(rooms / "tokenizer.json"),
        name="nano",
        style=PROMPT_STYLES[DEFAULT_STYLE],
        end_ids=frozenset({END_ID}),
        device=torch.device("cpu"),
        attention=attention,
    )
    checkpoint.fill_modules()
    model = checkpoint.model
    pixels = torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    outputs: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def note(_: Any, __: Any, output: Any) -> None:
        outputs.append(weakref.ref(output))
        alive.append(sum(one() is not None for one in outputs))

    watched = [one.register_forward_hook(note) for one in model.model.vision_tower.encoder.layers]
    with torch.inference_mode():
        found = tower_features(model, pixels)
    for one in watched:
        one.remove()
    # The input of a layer and its output; one before them where that is the wanted one.
    assert alive[-1] <= 2 + (layer % 4 == 1)
    theirs = twin(model)
    with torch.inference_mode():
        states = theirs.model.vision_tower(pixels, output_hidden_states=True, return_dict=True).hidden_states
        assert torch.equal(found, theirs.model.multi_modal_projector(states[layer]))
        # Unusual configurations run through transformers' own tower.
        assert torch.equal(found, tower_features(theirs, pixels))
