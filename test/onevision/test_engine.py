"""Answers with the trained model, streaming, stopping, and requests that cannot be served."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llava_ov_ros.onevision import load_engine


def test_streamed_pieces_are_the_text(nano: Any, make_clip: Any) -> None:
    pieces: list[str] = []
    generated = nano.answer([make_clip()], "Say much.", max_new_tokens=40, on_text=pieces.append)
    assert "".join(pieces) == generated.text
    assert generated.finish == "length"
    assert len(generated.token_ids) == len(generated.probabilities) == 40
    assert 0 < generated.time_to_first_token_s <= generated.total_s


def test_confidence_is_the_geometric_mean(nano: Any, make_clip: Any) -> None:
    generated = nano.answer([make_clip()], "Say it.", max_new_tokens=7)
    assert generated.confidence == pytest.approx(math.prod(generated.probabilities) ** (1 / 7))
    assert generated.confidence == pytest.approx(math.exp(sum(generated.log_probabilities) / 7))
    assert 0 < generated.confidence < 1


def test_same_question_same_answer(nano: Any, make_clip: Any) -> None:
    first = nano.answer([make_clip()], "Say it.", max_new_tokens=20)
    again = nano.answer([make_clip()], "Say it.", max_new_tokens=20)
    other = nano.answer([make_clip(seed=9)], "Say it.", max_new_tokens=20)
    assert first.token_ids == again.token_ids
    assert first.probabilities == again.probabilities
    assert first.token_ids != other.token_ids, "the answer does not depend on the pixels"


@pytest.mark.parametrize("wish", ["cancelled", "deadline"])
def test_stops_between_tokens(nano: Any, make_clip: Any, wish: str) -> None:
    pieces: list[str] = []

    def should_stop() -> str | None:
        return wish if len(pieces) >= 5 else None

    generated = nano.answer(
        [make_clip()], "Go on.", max_new_tokens=1000, on_text=pieces.append, should_stop=should_stop
    )
    assert generated.finish == wish
    assert len(pieces) == 5
    assert len(generated.token_ids) < 1000
    assert "".join(pieces) == generated.text


def test_does_not_start_what_is_not_wanted(nano: Any, make_clip: Any) -> None:
    generated = nano.answer([make_clip()], "Go on.", should_stop=lambda: "cancelled")
    assert generated.finish == "cancelled"
    assert generated.token_ids == ()
    assert generated.confidence == 0


def test_image_mode_wants_one_camera(nano: Any, make_clip: Any) -> None:
    with pytest.raises(ValueError, match=r"image looks at one camera.*front, rear"):
        nano.answer([make_clip("front"), make_clip("rear")], "Q", mode="image")


def test_unknown_mode_and_no_clip(nano: Any, make_clip: Any) -> None:
    with pytest.raises(ValueError, match="allowed are video, multi_image, image"):
        nano.answer([make_clip()], "Q", mode="movie")
    with pytest.raises(ValueError, match="at least one camera"):
        nano.answer([], "Q")


def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(rooms: Any, make_clip: Any) -> None:
    engine = load_engine("rooms", device="cpu")
    with pytest.raises(ValueError, match=r"context is 4096: ask about fewer frames"):
        engine.answer([make_clip(frames=120)], "Q")


def test_a_closed_engine_says_so(nano_directory: Any, make_clip: Any) -> None:
    engine = load_engine(str(nano_directory), device="cpu")
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.answer([make_clip()], "Q")
