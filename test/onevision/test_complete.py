"""Prompts of any form: pictures where they stand in the text, dialogues, no picture at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.bench.plain_path import plain_generate
from llava_ov_ros.onevision import load_engine
from llava_ov_ros.onevision.pixels import normalised, padded_square
from llava_ov_ros.onevision.prompt import IM_END, Control, Ids, Text, Visual, user_content

NEW_TOKENS = 12
QUESTION = "Where is the mug?"


def generate(engine: Any, ids: list[int], frames: Any = ()) -> list[int]:
    """Tokens of transformers' `generate`, each picture as one of several."""
    pixels: dict[str, Any] = {}
    if frames:
        size = engine.transformers_model.config.vision_config.image_size
        pixels["pixel_values"] = torch.stack([normalised(padded_square(f.rgb, size), torch.float32) for f in frames])
        pixels["image_sizes"] = torch.tensor([f.rgb.shape[:2] for f in frames])
        pixels["batch_num_images"] = torch.tensor([len(frames)])
    tokens = torch.tensor([ids])
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **pixels}
    return plain_generate(engine, inputs, NEW_TOKENS)


def text_ids(engine: Any, text: str) -> list[int]:
    """Token ids of a text with control tokens in it."""
    tokenizer = engine._state.checkpoint.tokenizer._tokenizer
    tokenizer.encode_special_tokens = False
    try:
        return tokenizer.encode(text).ids
    finally:
        tokenizer.encode_special_tokens = True


@pytest.mark.parametrize(("mode", "frames"), [("video", 3), ("multi_image", 3), ("image", 1)])
def test_the_usual_prompt_gives_the_usual_answer(nano: Any, make_clip: Any, mode: str, frames: int) -> None:
    clip = make_clip(frames=frames)
    items = [clip.frames] if mode == "video" else [(frame,) for frame in clip.frames]
    prompt = nano.prompt([user_content([("camera", frames)], QUESTION, mode)])
    found = nano.complete(prompt, items, mode, NEW_TOKENS)
    usual = nano.answer([clip], QUESTION, mode=mode, max_new_tokens=NEW_TOKENS)
    assert found.token_ids == usual.token_ids
    assert found.prompt_tokens == usual.prompt_tokens


def test_pictures_between_words_are_generate(nano: Any, make_clip: Any) -> None:
    frames = make_clip(frames=2, seed=4).frames
    content = (Text("Is the mug in "), Visual(0), Text(" redder than in\n"), Visual(1), Text("?"))
    found = nano.complete(nano.prompt([content]), [(frame,) for frame in frames], "multi_image", NEW_TOKENS)
    picture = [nano.transformers_model.config.image_token_index] * 26
    ids = [
        *text_ids(nano, "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nIs the mug in "),
        *picture,
        *text_ids(nano, " redder than in\n"),
        *picture,
        *text_ids(nano, "?<|im_end|>\n<|im_start|>assistant\n"),
    ]
    assert found.prompt_tokens == len(ids)
    assert list(found.token_ids) == generate(nano, ids, frames)


def test_a_prompt_without_pictures_is_generate(nano: Any) -> None:
    found = nano.complete(nano.prompt([[Text(QUESTION)]], system="Be brief."), [], "multi_image", NEW_TOKENS)
    whole = f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert list(found.token_ids) == generate(nano, text_ids(nano, whole))


def test_a_dialogue_goes_on_from_exact_tokens(nano: Any) -> None:
    first = nano.prompt([[Text(QUESTION)]])
    answer = nano.complete(first, [], "multi_image", 3)
    later = [*first, Ids(answer.token_ids), Control(IM_END), Text("Why?")]
    found = nano.complete(later, [], "multi_image", NEW_TOKENS)
    start = f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{QUESTION}<|im_end|>\n"
    ids = [*text_ids(nano, f"{start}<|im_start|>assistant\n"), *answer.token_ids, *text_ids(nano, "<|im_end|>Why?")]
    assert list(found.token_ids) == generate(nano, ids)


def test_pictures_without_places_are_an_error(nano: Any, make_clip: Any) -> None:
    frames = make_clip(frames=2).frames
    with pytest.raises(ValueError, match="1 places for 2 visual items"):
        nano.complete(nano.prompt([[Visual(0)]]), [(frame,) for frame in frames], "multi_image", NEW_TOKENS)


def test_an_answer_ends_where_the_context_does(rooms: Path) -> None:
    engine = load_engine(str(rooms), device="cpu")
    context = engine.transformers_model.config.text_config.max_position_embeddings
    word = text_ids(engine, "mug ")
    prompt = [Ids(tuple((word * context)[: context - 4]))]
    found = engine.complete(prompt, [], "multi_image", NEW_TOKENS)
    assert len(found.token_ids) <= 4
    assert found.prompt_tokens == context - 4
    with pytest.raises(ValueError, match=f"the model's context is {context}"):
        engine.complete([*prompt, Ids((word[0],) * 4)], [], "multi_image", NEW_TOKENS)
