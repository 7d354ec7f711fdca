"""Decoding in fixed shapes, as CUDA captures it, gives the tokens of decoding in any shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_ov_ros.onevision import Ask, Engine, EngineSettings, Sampling, load_engine
from llava_ov_ros.onevision.engine_settings import MIB
from llava_ov_ros.onevision.fixed_step import Capacity, bucketed
from llava_ov_ros.onevision.steps import MOST_SHAPES, StaticSteps


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


class Recorded:
    """Captures nothing, but runs a step as often as the capture of a graph does, and may fail like one."""

    def __init__(self, failing: tuple[int, ...] = (), error: BaseException | None = None) -> None:
        self.count = 0
        self.replays = 0
        self._failing = failing
        self._error = error

    def __call__(self, compute: Callable[[], None]) -> Callable[[], None]:
        """Run the step four times, then fail where this is one of those that do."""
        self.count += 1
        for _ in range(4):
            compute()
        if self.count in self._failing:
            assert self._error is not None
            raise self._error

        def replay() -> None:
            self.replays += 1
            compute()

        return replay


GIBIBYTE = 2**30
SHRINKING = [Ask(f"Question {'long ' * n}{n}?", max_new_tokens=2 + 3 * n) for n in range(8)]


def with_capture(directory: Path, capture: Recorded | None, most_bytes: int = GIBIBYTE) -> tuple[Engine, StaticSteps]:
    engine = engine_of(directory, static=True)
    steps = StaticSteps(engine._state.language, most_bytes, capture)  # type: ignore[union-attr]
    engine._state.static_steps = steps  # type: ignore[union-attr]
    return engine, steps


def test_a_capture_amid_an_answer_changes_no_token(nano_directory: Path, free: Engine, make_clip: Any) -> None:
    """The capture runs the step, which adds tokens to the buffers that hold the rows."""
    capture = Recorded()
    engine, steps = with_capture(nano_directory, capture)
    same(engine, free, [make_clip(frames=3)], SHRINKING)
    assert capture.count == len(steps) == 4, "of eight, four, two rows and one"
    assert capture.replays > 20
    same(engine, free, [make_clip(frames=2, seed=5)], SHRINKING)
    assert capture.count == 4


def failed_capture() -> RuntimeError:
    """What the end of a capture raises where memory has run out within it."""
    error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
    return error


@pytest.mark.parametrize("failing", [(1,), (2,)], ids=["the first", "amid an answer"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), failed_capture()], ids=["at", "late"])
def test_without_memory_for_a_capture_steps_are_eager_and_that_is_said(
    nano_directory: Path,
    free: Engine,
    make_clip: Any,
    caplog: pytest.LogCaptureFixture,
    failing: tuple[int, ...],
    error: RuntimeError,
) -> None:
    engine, steps = with_capture(nano_directory, Recorded(failing, error))
    assert engine.counters().step_shortage == ""
    with caplog.at_level(logging.WARNING):
        same(engine, free, [make_clip(frames=3)], SHRINKING)
    said = engine.counters().step_shortage
    assert said.startswith("memory ran out while steps of Capacity(rows=")
    assert [record.getMessage() for record in caplog.records] == [said], "said once"
    assert (steps.nbytes == 0) is (failing == (1,)), "no memory is held for shapes that are not there"
    same(engine, free, [make_clip(frames=3, seed=1)], SHRINKING)
    engine.drop_caches()
    assert engine.counters().step_shortage == ""
    same(engine, free, [make_clip(frames=3, seed=2)], SHRINKING)
    assert len(steps) > 0


def test_an_error_of_a_step_itself_is_not_hidden_on_a_cpu(nano_directory: Path, make_clip: Any) -> None:
    engine, steps = with_capture(nano_directory, None)
    steps._model = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        engine.answer_many([make_clip()], [Ask("One?", max_new_tokens=3)])


def test_no_buffers_above_their_bytes(nano_directory: Path, free: Engine, make_clip: Any) -> None:
    engine, steps = with_capture(nano_directory, None, most_bytes=GIBIBYTE)
    same(engine, free, [make_clip()], [Ask("One?", max_new_tokens=5)])
    needed = steps.nbytes
    engine, steps = with_capture(nano_directory, None, most_bytes=needed)
    same(engine, free, [make_clip()], [Ask("One?", max_new_tokens=5)])
    assert steps.nbytes == needed
    same(engine, free, [make_clip()], [Ask("One?", max_new_tokens=5), Ask("Two?", max_new_tokens=5)])
    assert steps.nbytes == needed, "two rows would need more"
    assert engine.counters().step_shortage == ""


def test_batches_are_fixed_where_only_the_usual_ones_are_too_large(
    nano_directory: Path, free: Engine, make_clip: Any
) -> None:
    """Of many cameras, say: a question about one of them has room all the same."""
    engine, steps = with_capture(nano_directory, Recorded(), most_bytes=64 * MIB)
    steps.prepare(Capacity(rows=16, prefix=400_000, suffix=100))
    assert len(steps) == 0 and steps.shortage == ""
    same(engine, free, [make_clip(frames=2)], SHRINKING[:2])
    assert len(steps) == 2 and 0 < steps.nbytes <= 64 * MIB


def test_shapes_share_their_buffers(nano_directory: Path, free: Engine, make_clip: Any) -> None:
    capture = Recorded()
    engine, steps = with_capture(nano_directory, capture)
    usual = Capacity(rows=16, prefix=1100, suffix=100)
    steps.prepare(usual)
    assert capture.count == len(steps) == 5, "of sixteen, eight, four, two rows and one"
    language, shape = engine._state.language, bucketed(usual)  # type: ignore[union-attr]
    per_token = 2 * len(language.layers) * language.kv_heads * language.width * 4
    numbers = shape.rows * (language.vocabulary * 4 + 2 * 8) + 8
    assert steps.nbytes == (shape.prefix + shape.rows * shape.suffix) * per_token + numbers
    for frames in (1, 4, 115):
        same(engine, free, [make_clip(frames=frames, height=48, width=64)], SHRINKING[:5])
    assert capture.count == 5, "usual questions wait for no capture, however long their clip is"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_captured_graphs_give_the_eager_tokens(nano_directory: Path, make_clip: Any) -> None:
    graphs, eager = (engine_of(nano_directory, static, device="cuda") for static in (True, False))
    for seed in range(4):
        asks = [Ask(f"Question {n}?", max_new_tokens=4 + 5 * n) for n in range(5)]
        same(graphs, eager, [make_clip(frames=2 + seed, seed=seed)], asks)
