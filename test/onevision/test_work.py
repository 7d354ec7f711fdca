"""How much the engine computes: every frame through the tower once, nearly nothing prefilled twice."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings, Clip, DecodeOptions, Frame
from llava_ov_ros.frames.growing import GrowingClip, GrowthSettings
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, load_engine

FRAMES = 200
STANDING = ["Where is the mug?", "Is the way free?", "What moved?", "How many?"]
MOST_OVER_IDEAL = 1.05


def frame(stamp: int) -> Frame:
    rgb = np.random.default_rng(stamp).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Frame("camera", stamp * 10**9, "optical", rgb)


@pytest.fixture
def engine(nano_directory: Any) -> Engine:
    return load_engine(str(nano_directory), device="cpu")


def prepare_all(engine: Engine, *clips: Clip | None) -> None:
    for clip in clips:
        while clip is not None and engine.prepare([clip]):
            pass


@pytest.mark.parametrize("ahead", [True, False])
def test_a_stream_costs_little_more_than_the_ideal(engine: Engine, ahead: bool) -> None:
    growing = GrowingClip("camera", GrowthSettings(max_frames=16, min_frames=8, window_ns=10**12, spacing_ns=0))
    per_frame = engine._state.visual.count(frame(0), "video")
    anchors: dict[int, set[int]] = {}
    suffix_tokens = 0
    for number in range(FRAMES):
        growing.add(frame(number), oldest_ns=0)
        clip = growing.current
        assert clip is not None
        anchors.setdefault(clip.frames[0].stamp_ns, set()).update(f.stamp_ns for f in clip.frames)
        if ahead:
            prepare_all(engine, clip, growing.coming)
        questions = [*STANDING, *(["What is new?"] if number % 3 == 0 else [])]
        answers = engine.answer_many([clip], [Ask(question, max_new_tokens=2) for question in questions])
        suffix_tokens += sum(answer.prompt_tokens for answer in answers)
        suffix_tokens -= len(answers) * (
            engine._state.parts.head([clip], "video")[0][0].tokens + len(clip.frames) * per_frame
        )
    counters = engine.counters()
    assert counters.frames_encoded == FRAMES
    assert counters.tiles_encoded == FRAMES
    assert counters.suffix_tokens == suffix_tokens
    ideal = suffix_tokens + per_frame * sum(map(len, anchors.values()))
    spent = counters.suffix_tokens + counters.prefix_tokens
    print(f"prefilled {spent} tokens, ideal {ideal}: {spent / ideal:.4f}")
    assert spent / ideal <= MOST_OVER_IDEAL


def test_a_prepared_question_prefills_nothing_but_itself(engine: Engine) -> None:
    clip = Clip("camera", tuple(frame(i) for i in range(5)))
    prepare_all(engine, clip)
    before = engine.counters()
    engine.answer([clip], "Where is the mug?", max_new_tokens=3)
    after = engine.counters()
    assert after.frames_encoded == before.frames_encoded == 5
    assert after.prefix_tokens == before.prefix_tokens
    assert after.suffix_tokens > before.suffix_tokens


def test_the_changeover_to_a_prepared_anchor_costs_one_frame(engine: Engine) -> None:
    growing = GrowingClip("camera", GrowthSettings(max_frames=4, min_frames=2, spacing_ns=0))
    for number in range(4):
        growing.add(frame(number), oldest_ns=0)
        prepare_all(engine, growing.current, growing.coming)
    before = engine.counters()
    growing.add(frame(4), oldest_ns=0)
    assert growing.current is not None
    assert [f.stamp_ns for f in growing.current.frames] == [3 * 10**9, 4 * 10**9]
    engine.answer([growing.current], "Where?", max_new_tokens=1)
    after = engine.counters()
    assert after.frames_encoded - before.frames_encoded == 1
    assert after.prefix_tokens - before.prefix_tokens == 9


@pytest.mark.parametrize(("gain", "anew"), [(1.0, 0), (1.5, 9)])
def test_a_frame_is_encoded_anew_only_where_its_clip_has_another_range(engine: Engine, gain: float, anew: int) -> None:
    """Infrared pictures of 16 bits: of one scene, and of one that becomes brighter by half with each frame."""
    settings = CameraSettings(
        decode=DecodeOptions(value_range="auto"),
        admission=AdmissionSettings(rate_hz=0.0),
        growth=GrowthSettings(max_frames=4, min_frames=2, window_ns=10**12, spacing_ns=0),
    )
    camera = Camera("infrared", settings)
    for number in range(30):
        stored = np.random.default_rng(number).integers(1, 300 * gain ** (number % 12), (40, 60)).astype(np.uint16)
        header = SimpleNamespace(stamp=SimpleNamespace(sec=number + 1, nanosec=0), frame_id="")
        message = SimpleNamespace(
            header=header, height=40, width=60, step=120, is_bigendian=0, encoding="mono16", data=stored.tobytes()
        )
        camera.offer(message, (number + 1) * 10**9)
        prepare_all(engine, camera.growing_clip(), camera.coming_clip())
        engine.answer([camera.growing_clip()], "Where is the mug?", max_new_tokens=1)
    assert camera.counts.shown_anew == anew
    assert engine.counters().frames_encoded == 30 + anew


def test_questions_together_share_the_prefix(engine: Engine) -> None:
    clip = Clip("camera", tuple(frame(i) for i in range(3)))
    engine.answer_many([clip], [Ask(question, max_new_tokens=2) for question in STANDING])
    counters = engine.counters()
    header = engine._state.parts.head([clip], "video")[0][0].tokens
    assert counters.prefix_tokens == header + 3 * 9
    assert counters.frames_encoded == 3


def test_caches_stay_within_their_bytes(nano_directory: Any) -> None:
    features = 9 * 64 * 4
    settings = EngineSettings(feature_bytes=5 * features, prefix_bytes=600_000)
    engine = load_engine(str(nano_directory), device="cpu", settings=settings)
    for number in range(40):
        clip = Clip("camera", (frame(number), frame(number + 1)))
        engine.answer([clip], "Where?", max_new_tokens=1)
        counters = engine.counters()
        assert counters.feature_bytes <= 5 * features
        assert counters.prefix_bytes <= 600_000
    assert counters.feature_bytes > 0
    assert counters.prefix_bytes > 0


def test_without_a_cache_there_is_nothing_to_prepare(nano_directory: Any) -> None:
    engine = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(prefix_bytes=0))
    assert not engine.prepare([Clip("camera", (frame(1), frame(2)))])


@pytest.mark.parametrize("tower_batch", [1, 4])
@pytest.mark.parametrize("feature_bytes", [None, 2 * 9 * 64 * 4, 0], ids=["enough", "two frames", "none"])
def test_no_frame_is_encoded_whose_tokens_nobody_reads(
    nano_directory: Any, tower_batch: int, feature_bytes: int | None
) -> None:
    """Nor twice because the cache is too small, nor because only the cache lacks it and the prefix has it."""
    settings = EngineSettings(tower_batch=tower_batch, feature_bytes=feature_bytes)
    engine = load_engine(str(nano_directory), device="cpu", settings=settings)
    frames = [frame(number) for number in range(4)]
    clip = Clip("camera", tuple(frames[:3]))
    engine.answer([clip], "Where?", max_new_tokens=1)
    assert engine.counters().frames_encoded == 3
    engine._state.features.clear()
    engine.answer([clip], "How many?", max_new_tokens=1)
    assert engine.counters().frames_encoded == 3
    engine.answer([Clip("camera", tuple(frames))], "And now?", max_new_tokens=1)
    assert engine.counters().frames_encoded == 4


@pytest.mark.parametrize("prefix_bytes", [None, 0], ids=["cached", "uncached"])
def test_no_frame_is_encoded_for_questions_that_have_ended(nano_directory: Any, prefix_bytes: int | None) -> None:
    engine = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(prefix_bytes=prefix_bytes))

    def stop_after(frames: int) -> Callable[[], str | None]:
        return lambda: "cancelled" if engine.counters().frames_encoded >= frames else None

    clip = Clip("camera", tuple(frame(number) for number in range(6)))
    asks = [Ask("Where?", 4, should_stop=stop_after(1)), Ask("How?", 4, should_stop=stop_after(3))]
    answers = dict(engine.stream([clip], asks))
    assert [(answers[n].text, answers[n].finish) for n in range(2)] == [("", "cancelled")] * 2
    assert engine.counters().frames_encoded == 3
    # One that ends does not end the others.
    clip = Clip("camera", tuple(frame(number) for number in range(6, 10)))
    asks = [Ask("Where?", 4, should_stop=stop_after(5)), Ask("How?", 4)]
    answers = dict(engine.stream([clip], asks))
    assert answers[0].finish == "cancelled" and len(answers[1].token_ids) == 4
    assert engine.counters().frames_encoded == 7


def test_dropped_caches_are_computed_again(engine: Engine) -> None:
    clip = Clip("camera", tuple(frame(i) for i in range(3)))
    first = engine.answer([clip], "Where?", max_new_tokens=8)
    engine.drop_caches()
    assert engine.counters().feature_bytes == engine.counters().prefix_bytes == 0
    again = engine.answer([clip], "Where?", max_new_tokens=8)
    assert again.token_ids == first.token_ids
    assert again.probabilities == first.probabilities
    assert engine.counters().frames_encoded == 6
