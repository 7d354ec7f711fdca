"""Decoding in fixed shapes, as CUDA captures it, gives the tokens of decoding in any shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import Ask, Engine, EngineSettings, Sampling, load_engine
from llava_ov_ros.onevision.steps import MOST_SHAPES


def engine_of(directory: Path, static: bool, device: str = "cpu") -> Engine:
    settings = EngineSettings(static_steps=static)
    return load_engine(str(directory), device=device, dtype="float32", settings=settings)


@pytest.fixture(scope="module")
def fixed(nano_directory: Path) -> Engine:
    return engine_of(nano_directory, static=True)


@pytest.fixture(scope="module")
def free(nano_directory: Path) -> Engine:
    return engine_of(nano_directory, static=False)


def same(first: Engine, second: Engine, clips: Any, asks: Any, mode: str = "video") -> None:
    ours, theirs = first.answer_many(clips, asks, mode=mode), second.answer_many(clips, asks, mode=mode)
    for one, other in zip(ours, theirs, strict=True):
        assert one.token_ids == other.token_ids
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-3)
        assert (one.finish, one.text) == (other.finish, other.text)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 13])
def test_rows_of_all_lengths(fixed: Engine, free: Engine, make_clip: Any, rows: int) -> None:
    """Rows end one after the other, so that the batch shrinks through all its buckets."""
    asks = [Ask(f"Question {'long ' * n}{n}?", max_new_tokens=2 + 3 * n) for n in range(rows)]
    same(fixed, free, [make_clip(frames=3, seed=rows)], asks)


def test_the_same_shapes_serve_again(fixed: Engine, free: Engine, make_clip: Any) -> None:
    for seed in range(6):
        clip = make_clip(frames=1 + seed, seed=seed)
        same(fixed, free, [clip], [Ask("One?", max_new_tokens=12), Ask("Two?", max_new_tokens=5)])
    assert len(fixed._state.static_steps) <= MOST_SHAPES  # type: ignore[union-attr,arg-type]


def test_prefixes_over_the_border_of_a_bucket(fixed: Engine, free: Engine, make_clip: Any) -> None:
    for frames in (110, 111, 112, 115):
        clip = make_clip(frames=frames, height=48, width=64, seed=1)
        same(fixed, free, [clip], [Ask("One?", max_new_tokens=6)])


def test_answers_over_the_border_of_a_bucket(fixed: Engine, free: Engine, make_clip: Any) -> None:
    for length in (90, 110, 140):
        same(fixed, free, [make_clip()], [Ask("One?", max_new_tokens=length)])


@pytest.mark.parametrize("mode", ["image", "multi_image"])
def test_other_modes(fixed: Engine, free: Engine, make_clip: Any, mode: str) -> None:
    same(fixed, free, [make_clip()], [Ask("One?", max_new_tokens=9), Ask("Two?", max_new_tokens=4)], mode)


def test_sampled_and_cancelled_rows(fixed: Engine, free: Engine, make_clip: Any) -> None:
    def asks() -> list[Ask]:
        pieces: list[str] = []
        return [
            Ask("One?", max_new_tokens=20, sampling=Sampling(temperature=0.8, seed=3)),
            Ask(
                "Two?",
                max_new_tokens=30,
                on_text=pieces.append,
                should_stop=lambda: "cancelled" if len(pieces) > 4 else None,
            ),
            Ask("Three?", max_new_tokens=11),
        ]

    ours, theirs = fixed.answer_many([make_clip()], asks()), free.answer_many([make_clip()], asks())
    assert [answer.token_ids for answer in ours] == [answer.token_ids for answer in theirs]
    assert ours[1].finish == "cancelled"


def test_dropping_caches_drops_the_shapes(fixed: Engine, make_clip: Any) -> None:
    fixed.answer([make_clip()], "One?", max_new_tokens=3)
    assert len(fixed._state.static_steps) > 0  # type: ignore[union-attr,arg-type]
    fixed.drop_caches()
    assert len(fixed._state.static_steps) == 0  # type: ignore[union-attr,arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_captured_graphs_give_the_eager_tokens(nano_directory: Path, make_clip: Any) -> None:
    graphs, eager = (engine_of(nano_directory, static, device="cuda") for static in (True, False))
    for seed in range(4):
        asks = [Ask(f"Question {n}?", max_new_tokens=4 + 5 * n) for n in range(5)]
        same(graphs, eager, [make_clip(frames=2 + seed, seed=seed)], asks)
