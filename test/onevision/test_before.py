"""Texts and pictures before the clip: where they stand, that the tokens are those of `generate`, each picture once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llava_ov_ros.bench.plain_path import plain_generate
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, load_engine
from llava_ov_ros.onevision.pixels import normalised, padded_square, squashed

NEW_TOKENS = 12
GOAL, FIRST, SECOND = "Your Main Goal:  tidy up.  Step Details: ", "Step#1: Go left. ", "Step#2: Take the mug. "
QUESTION = " Current Step: "


def alfred(pictures: tuple[Frame, ...]) -> tuple[str | Frame, ...]:
    """Two steps with a picture each, in the published form."""
    return (GOAL, pictures[0], FIRST, pictures[1], SECOND)


def one_shot(engine: Engine, clip: Clip, ask: Ask, mode: str) -> list[int]:
    """Tokens of transformers' `generate`; in mode video every picture and the clip have as many frames."""
    model = engine.transformers_model
    size = model.config.vision_config.image_size
    frames = [part for part in ask.before if isinstance(part, Frame)] + list(clip.frames)
    pixels: dict[str, Any] = {}
    if mode == "video":
        squares = [normalised(squashed(frame.rgb, size), torch.float32) for frame in frames]
        pixels["pixel_values_videos"] = torch.stack(squares)
        token = model.config.video_token_index
    else:
        squares = [normalised(padded_square(frame.rgb, size), torch.float32) for frame in frames]
        pixels["pixel_values"] = torch.stack(squares)
        pixels["image_sizes"] = torch.tensor([frame.rgb.shape[:2] for frame in frames])
        pixels["batch_num_images"] = torch.tensor([len(frames)])
        token = model.config.image_token_index
    side = size // model.config.vision_config.patch_size
    count = ((side + 1) // 2) ** 2 + 1 if mode == "video" else side**2 + 1
    ids = [i for found in engine.prompt_ids([clip], ask, mode) for i in ([token] * count if found is None else [found])]
    tokens = torch.tensor([ids])
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **pixels}
    return plain_generate(engine, inputs, NEW_TOKENS)


def test_texts_and_pictures_stand_as_they_are_given(nano: Engine, make_clip: Any) -> None:
    before = alfred(make_clip(frames=2).frames)
    tokenizer = nano._state.checkpoint.tokenizer  # type: ignore[union-attr]
    ids = nano.prompt_ids([make_clip(frames=1, seed=5)], Ask(QUESTION, before=before), "multi_image")
    texts: list[list[int]] = [[]]
    for token in ids:
        if token is None:
            texts.append([])
        else:
            texts[-1].append(token)
    written = "<image>".join(map(tokenizer.decode, texts))
    assert f"user\n{GOAL}<image>{FIRST}<image>{SECOND}<image>{QUESTION}" in written
    assert texts[1] == tokenizer.encode_text(FIRST), "a text between pictures is encoded as a whole"


@pytest.mark.parametrize("mode", ["multi_image", "video"])
def test_the_tokens_are_those_of_generate(nano_directory: Any, make_clip: Any, mode: str) -> None:
    warm = load_engine(str(nano_directory), device="cpu")
    cold = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(0, 0))
    pictures = make_clip(frames=4, seed=7).frames
    said = set()
    # As a robot goes on: a goal without steps, then one step more each time, and always a new view of now.
    for done in range(4):
        before: list[str | Frame] = [GOAL]
        for number, picture in enumerate(pictures[:done], 1):
            before += [picture, f"Step#{number}: Do it. "]
        clip = make_clip(frames=1, seed=20 + done)
        if mode == "multi_image" and not done:
            # transformers tiles an image that is alone, however it is asked.
            continue
        ask = Ask(QUESTION, NEW_TOKENS, before=tuple(before))
        expected = one_shot(warm, clip, ask, mode)
        for engine in (warm, cold):
            given = engine.answer_many([clip], [ask], mode=mode)[0]
            assert list(given.token_ids) == expected[: len(given.token_ids)]
            assert len(given.token_ids) == NEW_TOKENS or given.finish == "stop"
        said.add(given.token_ids)
    assert len(said) > 1, "the pictures change nothing: this test could not fail"
    counters = warm.counters()
    assert counters.frames_encoded == (6 if mode == "multi_image" else 7), "a picture was encoded twice"
    assert counters.prefix_tokens_reused > 0


def test_questions_with_and_without_are_answered_together(nano: Engine, make_clip: Any) -> None:
    clip, pictures = make_clip(frames=2, seed=9), make_clip(frames=2, seed=11).frames
    asks = [
        Ask("Where is it?", NEW_TOKENS),
        Ask(QUESTION, NEW_TOKENS, before=alfred(pictures)),
        Ask("Is it?", choices=("yes", "no"), before=alfred(pictures)),
        Ask("And now?", NEW_TOKENS, before=alfred(pictures), history=(("Where is it?", "on the desk"),)),
    ]
    together = nano.answer_many([clip], asks)
    for ask, answer in zip(asks, together, strict=True):
        alone = nano.answer_many([clip], [ask])[0]
        assert (answer.text, answer.token_ids) == (alone.text, alone.token_ids)
        assert answer.confidence == pytest.approx(alone.confidence, abs=1e-5)
    assert together[0].prompt_tokens < together[1].prompt_tokens


def test_mode_image_looks_at_one_picture(nano: Engine, make_clip: Any) -> None:
    asks = [Ask(QUESTION, 2, before=alfred(make_clip(frames=2).frames)), Ask("Where is it?", 2)]
    outcomes = dict(nano.stream([make_clip(frames=1)], asks, mode="image"))
    assert isinstance(outcomes[0], ValueError)
    assert "use mode multi_image" in str(outcomes[0])
    assert outcomes[1].finish == "length"  # type: ignore[union-attr]


def test_a_shortage_of_memory_takes_no_picture_away(nano_directory: Any, make_clip: Any) -> None:
    engine = load_engine(str(nano_directory), device="cpu")

    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine._state.prefixes.get = full  # type: ignore[union-attr,method-assign]
    ask = Ask(QUESTION, 2, before=alfred(make_clip(frames=2).frames))
    outcomes = dict(engine.stream([make_clip(frames=1)], [ask], mode="multi_image"))
    assert isinstance(outcomes[0], MemoryError)
