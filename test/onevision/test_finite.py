"""Numbers that are not finite never become an answer: not at loading, not at the first token, not at a later one."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from llava_ov_ros.checkpoints import CheckpointError
from llava_ov_ros.onevision import Ask, EngineSettings, Generated, NotFiniteError, load_engine
from llava_ov_ros.planning.model.results import decided_confidence, text_probability

REMEDY = "load it with dtype bfloat16 or float32"
FLIPS = 1000


def logits(model: str, clip: Any, dtype: str = "float32") -> torch.Tensor:
    seen = []

    def look(_: Any, values: torch.Tensor) -> torch.Tensor:
        seen.append(values.clone())
        return values

    load_engine(model, device="cpu", dtype=dtype).answer_many([clip], [Ask("What colour is the mug?", 4, hook=look)])
    return torch.stack(seen)


def test_the_wide_model_is_the_same_function_in_float32(too_wide_for_float16: Path, make_clip: Any) -> None:
    assert torch.equal(logits("rooms", make_clip()), logits(str(too_wide_for_float16), make_clip()))


def test_in_float16_it_is_refused_with_the_remedy(too_wide_for_float16: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"cannot answer in mode video: .* not finite in float16 .*: {REMEDY}"):
        load_engine(str(too_wide_for_float16), device="cpu", dtype="float16")


def test_a_weight_that_float16_cannot_hold_is_named(rooms: Path, tmp_path: Path, changed: Any) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["multi_modal_projector.linear_1.bias"][0] = 70000

    directory = changed(Path(shutil.copytree(rooms, tmp_path / "model")), change)
    with pytest.raises(CheckpointError, match=rf"linear_1\.bias has numbers that float16 cannot hold .*: {REMEDY}"):
        load_engine(str(directory), device="cpu", dtype="float16")
    load_engine(str(directory), device="cpu", dtype="bfloat16")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_named(rooms: Path, tmp_path: Path, changed: Any, value: float) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            tensor.fill_(value)

    directory = changed(Path(shutil.copytree(rooms, tmp_path / "model")), change)
    with pytest.raises(CheckpointError, match=r"tensor \S+ has numbers that are not finite: the file is damaged"):
        load_engine(str(directory), device="cpu")


@pytest.mark.parametrize("seed", range(5))
def test_flipped_bits_are_no_healthy_model(rooms: Path, tmp_path: Path, seed: int) -> None:
    directory = Path(shutil.copytree(rooms, tmp_path / "model"))
    file = directory / "model.safetensors"
    content = bytearray(file.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    rng = Random(seed)
    for _ in range(FLIPS):
        content[rng.randrange(header, len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="not finite"):
        load_engine(str(directory), device="cpu")


def test_one_word_fails_alone(mug_is_too_much: Path, make_clip: Any) -> None:
    engine = load_engine(str(mug_is_too_much), device="cpu", dtype="float16")
    heard: list[str] = []
    asks = [
        Ask("What colour is the pan?", 4),
        Ask("What colour is the mug?", 4, on_text=heard.append),
        Ask("Is there a pan?", choices=("yes", "no")),
        Ask("Is there a mug?", choices=("yes", "no")),
    ]
    found = dict(engine.stream([make_clip()], asks))
    assert [type(found[number]) for number in range(4)] == [Generated, NotFiniteError, Generated, NotFiniteError]
    assert f"not finite in float16 (token 1 of the answer): {REMEDY}" in str(found[1])
    assert f"not finite in float16 (of 2 choices that were compared): {REMEDY}" in str(found[3])
    assert heard == []
    # Alone, it has the tokens that it has beside the others.
    alone = engine.answer([make_clip()], "What colour is the pan?", max_new_tokens=4)
    assert found[0].token_ids == alone.token_ids


def test_a_later_token_ends_an_answer_that_has_begun(mug_is_too_much: Path, make_clip: Any) -> None:
    """A hook that has the word said: the numbers after that are none."""
    engine = load_engine(str(mug_is_too_much), device="cpu", dtype="float16")

    def say_mug(tokens: Any, values: torch.Tensor) -> torch.Tensor:
        if len(tokens) == 2:
            values[375] = 1e4
        return values

    heard: list[str] = []
    [(_, outcome)] = engine.stream([make_clip()], [Ask("What is it?", 8, on_text=heard.append, hook=say_mug)])
    assert isinstance(outcome, NotFiniteError)
    assert "token 4 of the answer" in str(outcome)
    assert "".join(heard).endswith("mug")


def test_a_failed_answer_leaves_nothing_to_the_next_in_fixed_shapes(mug_is_too_much: Path, make_clip: Any) -> None:
    """Fixed shapes, as on CUDA, keep their buffers: what is masked there must not be multiplied with."""
    settings = EngineSettings(static_steps=True)
    engine = load_engine(str(mug_is_too_much), device="cpu", dtype="float16", settings=settings)

    def say_mug(tokens: Any, values: torch.Tensor) -> torch.Tensor:
        if len(tokens) == 30:
            values[375] = 1e4
        return values

    clip, good = make_clip(), Ask("What colour is the pan?", 4)
    [expected] = engine.answer_many([clip], [good])
    [(_, outcome)] = engine.stream([clip], [Ask("What is it?", 60, hook=say_mug)])
    assert isinstance(outcome, NotFiniteError)
    assert engine.answer_many([clip], [good])[0].token_ids == expected.token_ids


def test_an_answer_cannot_have_a_probability_that_is_none() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Generated("x", (1,), (math.nan,), "stop", 1, 0.0, 0.0)
    with pytest.raises(ValueError, match="must be finite"):
        Generated("x", (1,), (0.5,), "stop", 1, 0.0, 0.0, end_probability=math.inf)


def test_thresholds_take_what_is_no_number_for_failed() -> None:
    class Foreign:
        """As another engine might give it."""

        probabilities, end_probability = (0.9, math.nan), 0.9

    assert decided_confidence(Foreign()) == 0.0  # type: ignore[arg-type]
    assert text_probability(Foreign()) == 0.0  # type: ignore[arg-type]
