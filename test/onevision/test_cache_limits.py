"""Caches hold what the clips need and no more: as much is computed as with a gigabyte, within every limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.frames.growing import GrowingClip, GrowthSettings
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, load_engine
from llava_ov_ros.onevision.cache_sizes import tokens_of_item
from llava_ov_ros.onevision.engine_settings import MIB
from llava_ov_ros.onevision.feature_cache import FeatureCache
from llava_ov_ros.onevision.features import anyres_token_count
from llava_ov_ros.onevision.key_values import PrefixKeyValues
from llava_ov_ros.onevision.pixels import anyres_grid
from llava_ov_ros.onevision.prefix_store import Chunk, PrefixStore
from llava_ov_ros.onevision.shapes import SHAPES

S = 10**9
STANDING = ["Where is the mug?", "Is the way free?", "What moved?", "How many?", "Who?", "Why?", "When?", "What else?"]


class Stream:
    """Cameras that send two frames a second each, half a frame apart, and their growing clips."""

    def __init__(self, cameras: int, clip_frames: int, spacing_s: float = 1.5) -> None:
        growth = GrowthSettings(clip_frames, min(2, clip_frames), window_ns=30 * S, spacing_ns=round(spacing_s * S))
        self._growing = {f"camera {number}": GrowingClip(f"camera {number}", growth) for number in range(cameras)}

    def events(self, frames: int) -> Iterator[tuple[list[Clip], list[Clip]]]:
        """After each frame, once every camera has one: the clips, and those with which they begin anew."""
        for number in range(frames):
            for place, (name, growing) in enumerate(self._growing.items()):
                rgb = np.random.default_rng((number, place)).integers(0, 256, (40, 60, 3), dtype=np.uint8)
                growing.add(Frame(name, number * S // 2 + place * S // 20, "optical", rgb), 0)
                now = [one.current for one in self._growing.values()]
                clips = [clip for clip in now if clip is not None]
                if len(clips) == len(self._growing):
                    coming = (one.coming for one in self._growing.values())
                    yield clips, [new or old for new, old in zip(coming, clips, strict=True)]


def prepare_all(engine: Engine, *clips: Sequence[Clip]) -> None:
    for some in clips:
        while engine.prepare(some):
            pass


def use(engine: Engine, stream: Stream, frames: int, standing: int, goal: bool) -> list[tuple[int, ...]]:
    """Ask as a node asks: standing questions about all cameras, others about one, and hints; the tokens of all answers.

    Frames are prepared ahead; a prompt of a hint shows a picture of a step that is done.
    """
    tokens: list[tuple[int, ...]] = []

    def ask(clips: Sequence[Clip], asks: list[Ask]) -> None:
        tokens.extend(answer.token_ids for answer in engine.answer_many(clips, asks))

    seen: list[Frame] = []
    for number, (clips, coming) in enumerate(stream.events(frames)):
        prepare_all(engine, clips, coming)
        if standing and number % (10 * len(clips)) == 9:
            ask(clips, [Ask(question, 2) for question in STANDING[:standing]])
        if number % 7 == 3:
            ask([clips[number % len(clips)]], [Ask("What is new?", 2)])
        if goal and number % (4 * len(clips)) == 1:
            seen = [*seen, clips[0].frames[-1]][-4:]
            before = tuple(part for frame in seen for part in ("Step: look. ", frame))
            ask(clips, [Ask("Current Step: ", 2, before=before)])
    return tokens


@pytest.mark.parametrize(
    ("cameras", "clip_frames", "standing", "goal"),
    [(1, 4, 1, False), (1, 16, 8, True), (2, 4, 8, True), (2, 8, 2, False), (4, 4, 1, True)],
)
def test_as_much_is_kept_as_is_of_use(
    nano_directory: Path, cameras: int, clip_frames: int, standing: int, goal: bool
) -> None:
    pictures = 4 + cameras if goal else 0
    clips = EngineSettings(clip_frames=clip_frames, cameras=cameras, pictures=pictures)
    ample = EngineSettings(1024 * MIB, 1024 * MIB, clip_frames=clip_frames, cameras=cameras, pictures=pictures)
    engines = [load_engine(str(nano_directory), device="cpu", settings=settings) for settings in (clips, ample)]
    said = [use(engine, Stream(cameras, clip_frames), 90 // cameras, standing, goal) for engine in engines]
    own, most = (engine.counters() for engine in engines)
    assert said[0] == said[1]
    assert own.frames_encoded == most.frames_encoded == 90 // cameras * cameras
    assert own.prefix_tokens == most.prefix_tokens
    assert own.prefix_tokens_reused == most.prefix_tokens_reused
    assert own.prefix_bytes < most.prefix_bytes, "the stream is long enough to fill the caches"


@pytest.fixture
def small_store(nano: Engine) -> PrefixStore:
    """A store with room for five short prefixes."""
    model = nano._state.language  # type: ignore[union-attr]
    return PrefixStore(model, 5 * PrefixKeyValues(model).nbytes)


def chunks(*names: str) -> list[Chunk]:
    """Chunks of two tokens each; equal names are equal chunks."""
    return [Chunk(name, 2, lambda: torch.zeros(2, 64)) for name in names]


def test_the_clips_of_now_and_next_stay_prepared_while_others_are_asked_about(small_store: PrefixStore) -> None:
    now, coming = chunks("text", "first", "second", "third"), chunks("text", "third")
    for other in range(20):
        for some in (now, coming):
            while small_store.step(some):
                assert small_store.nbytes <= small_store._max_bytes
        small_store.get(chunks(f"other text {other}", "other frame"))
        assert small_store.nbytes <= small_store._max_bytes
    assert small_store.tokens_prefilled == 2 * (4 + 1 + 20 * 2), "the text of the next clip's prefix is a copy"


def test_prefixes_that_a_newer_frame_left_behind_are_dropped_first(small_store: PrefixStore) -> None:
    other = chunks("other text", "first of another camera", "second of another camera")
    small_store.get(other)
    for newest in range(20):
        small_store.get(chunks("text", "first", "second", f"newest {newest}"))
        assert small_store.nbytes <= small_store._max_bytes
    prefilled = small_store.tokens_prefilled
    small_store.get(other)
    assert small_store.tokens_prefilled == prefilled


def test_features_of_a_clip_stay_while_newest_frames_come_and_go() -> None:
    cache = FeatureCache(4 * torch.zeros(10).nbytes)
    for key in ("first", "second"):
        cache.get(key, lambda: torch.zeros(10))
    for newest in range(20):
        cache.touch(["first", "second", "not there"])
        cache.get(newest, lambda: torch.zeros(10))
    assert "first" in cache and "second" in cache
    assert len(cache) == 4


@pytest.mark.parametrize("spare_mib", [0, 1, 4, 16])
def test_the_model_holds_no_more_than_it_may(rooms: Path, spare_mib: int) -> None:
    """At every frame and every token, whatever is asked for; the answers are those of a model that may hold more."""
    clips = EngineSettings(clip_frames=4, cameras=2)
    free = load_engine(str(rooms), device="cpu", settings=clips)
    assert free.plan is not None
    limit = free.plan.needed + spare_mib * MIB
    tight = load_engine(str(rooms), device="cpu", settings=EngineSettings(clip_frames=4, cameras=2, most_bytes=limit))
    assert sum(tight.may_hold().values()) <= limit
    held: list[int] = []

    def look(_: str = "") -> None:
        # Results of a batch of questions are planned as workspace, and no longer held when text comes.
        held.append(tight.memory_bytes())

    said: list[list[tuple[int, ...]]] = [[], []]
    for number, (now, coming) in enumerate(Stream(2, 4, spacing_s=0.0).events(12)):
        for which, engine in enumerate((tight, free)):
            for some in (now, coming):
                while engine.prepare(some):
                    look()
            mode, about = (("video", now), ("video", now[:1]), ("multi_image", now), ("image", now[1:]))[number % 4]
            asks = [Ask(question, 2, look) for question in STANDING[: 1 + number % 3]]
            said[which] += [answer.token_ids for answer in engine.answer_many(about, asks, mode=mode)]
            look()
    assert said[0] == said[1]
    workspace = tight.may_hold()["workspace"]
    assert limit // 2 < max(held) + workspace <= limit


def test_too_small_a_limit_is_refused_with_the_numbers(rooms: Path) -> None:
    needed = load_engine(str(rooms), device="cpu", settings=EngineSettings(clip_frames=4)).plan
    assert needed is not None
    settings = EngineSettings(clip_frames=4, most_bytes=needed.needed - 1)
    with pytest.raises(
        MemoryError,
        match=r"'rooms' needs (\d+\.\d) MiB: .* weights, .*; it may use \1 MiB: allow more \(parameter memory_mb\)",
    ):
        load_engine(str(rooms), device="cpu", settings=settings)
    load_engine(str(rooms), device="cpu", settings=EngineSettings(clip_frames=4, most_bytes=needed.needed))


@pytest.mark.parametrize("picture", [(480, 640), (720, 1280), (1080, 1920), (100, 100), (300, 2000)])
def test_no_picture_has_more_tokens_than_are_planned(picture: tuple[int, int]) -> None:
    config = SHAPES["0.5b"]()
    size = config.vision_config.image_size
    side = size // config.vision_config.patch_size
    tokens = anyres_token_count(anyres_grid(*picture, size, config.image_grid_pinpoints), side, picture)
    assert tokens <= 1.21 * tokens_of_item(config, "image"), "SHRINK_ABOVE squared"
