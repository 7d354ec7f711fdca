"""Memory is predicted before loading, refused with the numbers, and a shortage while running is survived."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from llava_ov_ros.checkpoints import find_checkpoint
from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.frames.growing import GrowingClip, GrowthSettings
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, MemoryPlan, load_engine
from llava_ov_ros.onevision import engine as engines
from llava_ov_ros.onevision.checkpoint_files import open_checkpoint
from llava_ov_ros.onevision.engine_settings import MIB
from llava_ov_ros.onevision.key_values import PrefixKeyValues, attention
from llava_ov_ros.onevision.linear import packs_weights
from llava_ov_ros.onevision.memory import GIB, SCORE_COPIES, check_fits, free_bytes, plan_memory, within
from llava_ov_ros.onevision.of_transformers import config_from, empty_model
from llava_ov_ros.onevision.prefix_store import LONGEST_PIECE, Chunk
from llava_ov_ros.onevision.shapes import SHAPES, tensor_shapes

CPU = torch.device("cpu")
MOST_GROWTH = 0.02


def test_a_plan_covers_what_is_then_held(nano_directory: Path, make_clip: Any) -> None:
    engine = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(clip_frames=8))
    plan = engine.plan
    assert plan is not None
    assert plan.weights + plan.tables == engine.memory_bytes(), "nothing else is held yet"
    growing = GrowingClip("camera", GrowthSettings(max_frames=8, min_frames=4, window_ns=10**12, spacing_ns=0))
    for frame in make_clip(frames=8).frames:
        growing.add(frame, 0)
        assert growing.current is not None
        while engine.prepare([growing.current]):
            pass
        while growing.coming is not None and engine.prepare([growing.coming]):
            pass
    counters = engine.counters()
    assert 0 < counters.feature_bytes <= plan.features
    assert 0 < counters.prefix_bytes <= plan.key_values


@pytest.mark.parametrize("static_steps", [False, True], ids=["eager", "fixed shapes"])
def test_a_plan_covers_what_is_used_however_one_asks(rooms: Path, make_clip: Any, static_steps: bool) -> None:
    """Clips that nobody planned for are kept too, while there is room: other cameras, other modes, other times."""
    settings = EngineSettings(8 * MIB, 24 * MIB, static_steps=static_steps, step_bytes=64 * MIB, clip_frames=4)
    engine = load_engine(str(rooms), device="cpu", settings=settings)
    plan = engine.plan
    assert plan is not None and (plan.steps > 0) is static_steps
    most = 0
    for seed in range(12):
        for mode in ("video", "multi_image", "image"):
            asks = [Ask(f"Question {number}?", 3) for number in range(1 + seed)]
            engine.answer_many([make_clip(frames=6, height=240, width=320, seed=seed)], asks, mode=mode)
            most = max(most, engine.memory_bytes())
    assert plan.needed - plan.workspace < most <= sum(engine.may_hold().values()) == plan.total


def test_caches_leave_room_where_memory_is_scarce() -> None:
    files = open_checkpoint(find_checkpoint("rooms"))
    settings = EngineSettings(static_steps=True)

    def planned(some: EngineSettings) -> MemoryPlan:
        return plan_memory(files.config, files.shapes, dtype=torch.float32, settings=some, device=CPU)

    plan = planned(settings)
    assert within(settings, plan, round(1.06 * plan.total)) == settings
    for free in (plan.needed, plan.needed + plan.spare // 3, plan.total):
        fitting = planned(within(settings, plan, free))
        assert fitting.needed == plan.needed, "what is needed stays"
        assert 0.94 * free <= fitting.total <= max(0.95 * free, plan.needed)


def test_steps_of_the_7b_are_planned() -> None:
    """A copy of the prefix for each of four shapes took 2.9 GiB; the shapes share one now."""
    config = SHAPES["7b"]()
    settings = EngineSettings(clip_frames=32, static_steps=True)
    plan = plan_memory(config, tensor_shapes(config), dtype=torch.bfloat16, settings=settings, device=CPU)
    per_token = 57_344
    assert plan.steps == (7168 + 16 * 128) * per_token + 16 * (152_064 * 4 + 16) + 8
    assert plan.steps < 0.6 * GIB
    assert plan.tables == 2 * 32_768 * 128 * 2


def test_captured_steps_keep_intermediate_results_of_their_own() -> None:
    """At the least scores over all keys and their weights, of all rows and heads, and the logits."""
    config = SHAPES["7b"]()
    settings = EngineSettings(clip_frames=32, static_steps=True, tower_batch=1)
    computed, captured = (
        plan_memory(config, tensor_shapes(config), dtype=torch.bfloat16, settings=settings, device=device)
        for device in (CPU, torch.device("cuda"))
    )
    assert replace(captured, workspace=computed.workspace) == computed
    assert 16 * (2 * 28 * (7168 + 128) + 152_064) * 4 <= captured.workspace - computed.workspace < 0.1 * GIB


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_scores_take_what_is_planned(dtype: torch.dtype) -> None:
    rows, heads, group, tokens, width, prefix, suffix = 4, 2, 7, 32, 64, 3000, 64
    q = torch.ones(rows, heads, group, tokens, width, dtype=dtype)
    shared, own = torch.ones(heads, prefix, width, dtype=dtype), torch.ones(rows, heads, suffix, width, dtype=dtype)
    hidden = torch.zeros(rows, tokens, suffix, dtype=torch.bool)
    with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
        attention(q, shared, shared, own, own, hidden)
    held = most = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    scores = rows * heads * group * tokens * (prefix + suffix) * 4
    assert 0.75 * SCORE_COPIES * scores < most < 1.05 * SCORE_COPIES * scores


def test_a_plan_of_the_true_sizes() -> None:
    """Against the published arithmetic: 12,288 and 57,344 bytes of keys and values per token, in 16 bits."""
    for shape, per_token, weights in (("0.5b", 12_288, 1.8e9), ("7b", 57_344, 16.0e9)):
        config = SHAPES[shape]()
        model = empty_model(config_from(config.fields()), "sdpa")
        shapes = {name: tuple(t.shape) for name, t in model.named_parameters()}
        plan, longer = (
            plan_memory(config, shapes, dtype=torch.float16, settings=EngineSettings(clip_frames=frames), device=CPU)
            for frames in (16, 32)
        )
        assert longer.key_values - plan.key_values == round(3 * 16 * 196 * per_token)
        assert plan.weights == pytest.approx(weights, rel=0.06)


@pytest.mark.parametrize(("shape", "copied"), [("0.5b", 151_936 * 896 * 2), ("7b", 0)])
def test_a_tied_head_that_is_packed_is_planned(shape: str, copied: int) -> None:
    config = SHAPES[shape]()
    shapes = tensor_shapes(config)
    packed, plain = (
        plan_memory(config, shapes, dtype=dtype, settings=EngineSettings(), device=CPU).weights
        for dtype in (torch.bfloat16, torch.float16)
    )
    assert packed - plain == (copied if packs_weights(CPU, torch.bfloat16) else 0)


def test_a_plan_covers_a_prompt_with_pictures(nano_directory: Path, make_clip: Any) -> None:
    settings = EngineSettings(clip_frames=2, pictures=17)
    engine = load_engine(str(nano_directory), device="cpu", settings=settings)
    without = load_engine(str(nano_directory), device="cpu", settings=EngineSettings(clip_frames=2)).plan
    plan = engine.plan
    assert plan is not None and without is not None
    assert "17 pictures" in str(plan) and "pictures" not in str(without)
    before: list[str | Frame] = []
    for number, frame in enumerate(make_clip(frames=16).frames, 1):
        before += [f"Step#{number}: GotoLocation shelf. ", frame]
    held = []
    # The view of now changes from one hint to the next, and both prompts are kept for a while.
    for seed in (1, 2):
        ask = Ask(" Current Step: ", 2, before=tuple(before))
        engine.answer_many([make_clip(frames=1, seed=seed)], [ask], mode="multi_image")
        held.append(engine.counters())
    assert without.features < held[0].feature_bytes <= plan.features
    assert without.key_values < held[1].prefix_bytes <= plan.key_values


def test_too_large_a_model_is_refused_with_the_numbers() -> None:
    files = open_checkpoint(find_checkpoint("rooms"))
    settings = EngineSettings(clip_frames=4, cameras=2)
    plan = plan_memory(files.config, files.shapes, dtype=torch.float32, settings=settings, device=CPU)
    check_fits(plan, "rooms", CPU)
    huge = replace(plan, weights=free_bytes(CPU) + GIB)
    with pytest.raises(MemoryError, match=r"model 'rooms' needs \d+\.\d\d GiB: .* weights, .* 4 frames of 2 cameras"):
        check_fits(huge, "rooms", CPU)


class SmallMemory:
    """A store of prefixes on a device that has room for so many chunks."""

    def __init__(self, store: Any, most_chunks: int) -> None:
        self._store = store
        self._most_chunks = most_chunks
        self.refused = 0

    def get(self, chunks: Any, *rest: Any) -> Any:
        """As the store's own, while there is room."""
        if len(chunks) > self._most_chunks:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self._store.get(chunks, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def engine(nano_directory: Path) -> Engine:
    return load_engine(str(nano_directory), device="cpu")


def test_a_shortage_is_answered_from_fewer_frames_and_said(engine: Engine, make_clip: Any) -> None:
    clip = make_clip(frames=8)
    store = SmallMemory(engine._state.prefixes, most_chunks=3)  # type: ignore[union-attr]
    engine._state.prefixes = store  # type: ignore[union-attr,assignment]
    answers = engine.answer_many([clip], [Ask("One?", max_new_tokens=4), Ask("Two?", max_new_tokens=4)])
    assert store.refused == 3, "once with caches, once without, once with half of the frames"
    for answer in answers:
        assert answer.clips[0].frames == clip.frames[-2:]
        assert answer.remark == "memory ran out: answered from the newest 2 of 8 frames"
        assert len(answer.token_ids) == 4


def test_a_shortage_while_choosing(engine: Engine, make_clip: Any) -> None:
    clip = make_clip(frames=8)
    store = SmallMemory(engine._state.prefixes, most_chunks=3)  # type: ignore[union-attr]
    engine._state.prefixes = store  # type: ignore[union-attr,assignment]
    asks = [Ask("One?", choices=("yes", "no")), Ask("Two?", choices=("left", "right"))]
    answers = engine.answer_many([clip], asks)
    assert store.refused == 3
    fewer = Clip(clip.camera, clip.frames[-2:])
    for answer, expected in zip(answers, engine.answer_many([fewer], asks), strict=True):
        assert answer.clips[0].frames == fewer.frames
        assert answer.remark == "memory ran out: answered from the newest 2 of 8 frames"
        assert answer.choices == expected.choices


def test_no_room_for_one_frame_is_an_error_of_that_question(engine: Engine, make_clip: Any) -> None:
    engine._state.prefixes = SmallMemory(engine._state.prefixes, most_chunks=0)  # type: ignore[union-attr,assignment]
    outcomes = dict(engine.stream([make_clip(frames=3)], [Ask("One?")]))
    assert isinstance(outcomes[0], MemoryError)


def test_text_that_was_given_out_is_not_begun_again(engine: Engine, make_clip: Any) -> None:
    pieces: list[str] = []

    def fail_late(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        if len(tokens) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits

    asks = [Ask("One?", max_new_tokens=20, hook=fail_late, on_text=pieces.append), Ask("Two?", max_new_tokens=3)]
    outcomes = dict(engine.stream([make_clip()], asks))
    assert isinstance(outcomes[0], MemoryError)
    assert len(pieces) <= 5
    assert outcomes[1].finish == "length"  # type: ignore[union-attr]
    assert engine.answer([make_clip()], "Still there?", max_new_tokens=3).finish == "length"


def test_a_chunk_that_fails_half_way_leaves_no_trace(engine: Engine) -> None:
    store = engine._state.prefixes  # type: ignore[union-attr]
    rows = torch.randn(LONGEST_PIECE + 10, 64)
    first, second = Chunk("first", 7, lambda: rows[:7]), Chunk("second", len(rows), lambda: rows)
    whole = store.get([first, second]).keys(0).clone()
    store.clear()
    key_values = store.get([first])
    append, pieces = PrefixKeyValues.append, []

    class Failing(PrefixKeyValues):
        def append(self, x: torch.Tensor) -> None:
            """Fails at the second piece."""
            pieces.append(len(x[0]))
            if len(pieces) == 2:
                raise RuntimeError("in the midst")
            append(self, x)

    store._entries[0].key_values.__class__ = Failing
    with pytest.raises(RuntimeError, match="in the midst"):
        store.get([first, second])
    assert pieces == [LONGEST_PIECE, 10]
    assert key_values.length == store._entries[0].key_values.length == 7
    assert torch.equal(store.get([first, second]).keys(0), whole)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
    ids=["torch", "driver", "cuBLAS", "host"],
)
def test_a_shortage_is_known_by_the_text_of_each_allocator(
    engine: Engine, make_clip: Any, error: BaseException
) -> None:
    failing = [error]

    def fail_once(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        if failing:
            raise failing.pop()
        return logits

    ((_, answer),) = engine.stream([make_clip()], [Ask("One?", 2, hook=fail_once)])
    assert not isinstance(answer, Exception) and failing == []


def test_another_error_is_not_hidden(engine: Engine, make_clip: Any) -> None:
    def fail(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the hook is wrong")

    with pytest.raises(RuntimeError, match="the hook is wrong"):
        engine.answer_many([make_clip()], [Ask("One?", hook=fail)])


def resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def stream_of_frames(count: int) -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for number in range(count):
        rgb = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
        yield Frame("camera", number * 10**9, "optical", rgb)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_days_stream_does_not_grow(capsys: pytest.CaptureFixture[str]) -> None:
    """3,600 frames and 1,000 questions on the trained model, after a warm-up that fills all caches."""
    settings = EngineSettings(feature_bytes=2 * 2**20, prefix_bytes=4 * 2**20, clip_frames=4)
    engine = load_engine("rooms", device="cpu", settings=settings)
    growing = GrowingClip("camera", GrowthSettings(max_frames=4, min_frames=2, window_ns=10**12, spacing_ns=0))
    questions = ["What colour is the mug?", "Where is the book?", "Which object moved?", "How many bowls are there?"]
    asked = 0
    after_warm_up = 0
    for number, frame in enumerate(stream_of_frames(3600)):
        growing.add(frame, 0)
        clip = growing.current
        assert clip is not None
        while engine.prepare([clip]):
            pass
        if number % 18 in (0, 6, 9, 13, 17):
            engine.answer([clip], questions[asked % 4], max_new_tokens=16)
            asked += 1
        if number == 600:
            after_warm_up = resident_bytes()
    grown = resident_bytes() / after_warm_up - 1
    with capsys.disabled():
        print(f"\n3600 frames, {asked} questions: {after_warm_up / 2**20:.0f} MiB after warm-up, grown by {grown:.2%}")
    assert asked == 1000
    assert grown < MOST_GROWTH


def test_dropping_an_engine_frees_its_frames(engine: Engine, make_clip: Any) -> None:
    clip: Clip | None = make_clip(frames=2)
    assert clip is not None
    engine.answer([clip], "One?", max_new_tokens=1)
    numbers = engine._state.visual._numbers._numbers  # type: ignore[union-attr]
    assert len(numbers) == 2
    del clip
    gc.collect()
    assert len(numbers) == 0, "the engine keeps frames alive"


def test_weights_are_gone_before_a_closed_engine_gives_memory_back(
    nano_directory: Path, make_clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is freed after that, torch keeps from all others on a GPU."""
    closing = load_engine(str(nano_directory), device="cpu")
    closing.answer([make_clip()], "One?", max_new_tokens=1)
    weight = weakref.ref(closing.transformers_model.lm_head.weight)
    # As modules of some releases of transformers do.
    object.__setattr__(closing.transformers_model, "itself", closing.transformers_model)
    held: list[bool] = []
    monkeypatch.setattr(engines, "free_unused", lambda device: held.append(weight() is not None))
    gc.disable()
    try:
        closing.close()
    finally:
        gc.enable()
    assert held == [False]
