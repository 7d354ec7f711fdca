"""Caches on, caches off and one-shot `generate` give the same tokens, whatever was asked before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from llava_ov_ros.frames import Clip, Frame
from llava_ov_ros.onevision import Ask, Engine, EngineSettings, load_engine
from llava_ov_ros.onevision.pixels import anyres_tiles, normalised, padded_square, squashed
from llava_ov_ros.onevision.shapes import SHAPES, write_random_checkpoint

NEW_TOKENS = 10
CASES = 170
SLICE_CASES = 30
# A tie: which of two tokens wins is decided by rounding. Any other difference is an error.
NEAR_TIE = 1e-5


@dataclass(frozen=True)
class Difference:
    """A step at which two paths chose different tokens, and how far apart the two best logits were there."""

    case: int
    step: int
    gap: float


def one_shot(engine: Engine, clips: list[Clip], ids: list[int | None], mode: str) -> tuple[list[int], torch.Tensor]:
    """Tokens of transformers' `generate`, and the logits of each step."""
    model = engine.transformers_model
    dtype = model.lm_head.weight.dtype
    config, size = model.config, model.config.vision_config.image_size
    side = size // config.vision_config.patch_size
    pixels: dict[str, Any] = {}
    if mode == "video":
        pixels["pixel_values_videos"] = torch.stack(
            [normalised(torch.cat([squashed(f.rgb, size) for f in clip.frames]), dtype) for clip in clips]
        )
        counts = [len(clip.frames) * ((side + 1) // 2) ** 2 + 1 for clip in clips]
        token = config.video_token_index
    elif mode == "multi_image":
        frames = [f for clip in clips for f in clip.frames]
        pixels["pixel_values"] = torch.stack([normalised(padded_square(f.rgb, size), dtype) for f in frames])
        pixels["image_sizes"] = torch.tensor([f.rgb.shape[:2] for f in frames])
        # A single image would be tiled; -1 is no count of transformers', and leaves it the one padded tile.
        pixels["batch_num_images"] = torch.tensor([len(frames)])
        counts = [side**2 + 1] * len(frames)
        token = config.image_token_index
    else:
        rgb = clips[0].frames[-1].rgb
        tiles, _ = anyres_tiles(rgb, size, config.image_grid_pinpoints)
        pixels["pixel_values"] = normalised(tiles, dtype)[None]
        pixels["image_sizes"] = torch.tensor([rgb.shape[:2]])
        counts = [engine._state.visual.count(clips[0].frames[-1], "image")]
        token = config.image_token_index
    waiting = iter(counts)
    whole = [i for found in ids for i in ([token] * next(waiting) if found is None else [found])]
    result = model.generate(
        input_ids=torch.tensor([whole]),
        attention_mask=torch.ones(1, len(whole), dtype=torch.long),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
        **pixels,
    )
    return result.sequences[0, len(whole) :].tolist(), torch.cat(result.logits).float()


def gap(logits: torch.Tensor) -> float:
    """How far apart the two best logits are."""
    first, second = logits.topk(2).values.tolist()
    return float(first - second)


class Stream:
    """Clips as a robot's cameras give them: frames are appended, clips re-anchor, sometimes begin anew."""

    def __init__(self, seed: int, most_frames: int) -> None:
        self._random = random.Random(seed)
        self._pixels = np.random.default_rng(seed)
        self._most_frames = most_frames
        self._stamp = 0
        self._frames: dict[str, list[Frame]] = {"front": [], "rear": []}

    def _frame(self, camera: str) -> Frame:
        self._stamp += 1
        height, width = self._random.choice([(48, 64), (64, 48), (70, 70), (30, 90)])
        picture = self._pixels.integers(0, 256, (height // 6, width // 6, 3))
        rgb = np.kron(picture, np.ones((6, 6, 1))).astype(np.uint8)
        return Frame(camera, self._stamp, "optical", rgb)

    def next_clips(self, cameras: int) -> list[Clip]:
        """One clip per camera, all of one length (what one call of `generate` can take)."""
        move = self._random.random()
        for name, frames in self._frames.items():
            if not frames or move < 0.15:
                frames[:] = [self._frame(name) for _ in range(self._random.randint(1, self._most_frames))]
            elif move < 0.7:
                frames.append(self._frame(name))
            if len(frames) > self._most_frames:
                frames[:] = frames[-max(1, self._most_frames // 2) :]
        length = min(map(len, self._frames.values()))
        return [Clip(name, tuple(self._frames[name][-length:])) for name in list(self._frames)[:cameras]]


QUESTIONS = [
    "Where is it?",
    "Is there a red mug on the table?",
    "What moved?",
    "桌子上有什么？",
    "How many <image> are there",
]


def cases(seed: int, count: int, most_frames: int) -> Iterator[tuple[list[Clip], str, list[str]]]:
    """Clips, mode and questions that are asked together, until so many questions have been asked."""
    chosen = random.Random(seed)
    stream = Stream(seed, most_frames)
    asked = 0
    while asked < count:
        mode = chosen.choices(["video", "multi_image", "image"], [6, 2, 2])[0]
        clips = stream.next_clips(2 if mode == "video" and chosen.random() < 0.3 else 1)
        if mode == "multi_image" and len(clips[0].frames) == 1:
            # transformers tiles an image that is alone, however it is asked.
            mode = "video"
        questions = [chosen.choice(QUESTIONS) for _ in range(min(chosen.choice([1, 1, 2, 3, 5]), count - asked))]
        asked += len(questions)
        yield clips, mode, questions


def compare(
    with_caches: Engine, without: Engine, seed: int, count: int, most_frames: int, near_tie: float = NEAR_TIE
) -> list[Difference]:
    """Run the cases on all three paths; whatever differs must be a near tie, and is returned."""
    differences: list[Difference] = []
    number = 0
    for clips, mode, questions in cases(seed, count, most_frames):
        asks = [Ask(question, max_new_tokens=NEW_TOKENS) for question in questions]
        warm = with_caches.answer_many(clips, asks, mode=mode)
        cold = without.answer_many(clips, asks, mode=mode)
        for ask, first, second in zip(asks, warm, cold, strict=True):
            ids = with_caches.prompt_ids(clips, ask, mode)
            expected, logits = one_shot(with_caches, clips, ids, mode)
            assert first.prompt_tokens == second.prompt_tokens
            for answer in (first, second):
                given = [*answer.token_ids]
                wanted = expected[: len(given)] if answer.finish == "length" else [*expected[:-1]]
                for step, (ours, theirs) in enumerate(zip(given, wanted, strict=True)):
                    if ours != theirs:
                        apart = gap(logits[step])
                        assert apart < near_tie, f"case {number} ({mode}), step {step}: gap {apart}"
                        differences.append(Difference(number, step, apart))
                        break
            number += 1
    assert number == count
    return differences


@pytest.fixture(scope="module")
def nano_without_caches(nano_directory: Any) -> Engine:
    return load_engine(
        str(nano_directory), device="cpu", settings=EngineSettings(feature_bytes=0, prefix_bytes=0, batch=2)
    )


def test_tokens_are_those_of_generate_on_nano(
    nano_directory: Any, nano_without_caches: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    with_caches = load_engine(str(nano_directory), device="cpu")
    differences = compare(with_caches, nano_without_caches, seed=3, count=CASES, most_frames=6)
    assert all(difference.gap < NEAR_TIE for difference in differences)
    counters = with_caches.counters()
    assert counters.prefix_tokens_reused > counters.prefix_tokens / 2, "the cases did not exercise the caches"
    assert counters.feature_hits > 0
    with capsys.disabled():
        print(f"\n{CASES} cases on nano, differences at near ties: {differences or 'none'}")


def test_in_bfloat16_only_ties_within_the_noise_differ(nano_directory: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(nano_directory)
    with_caches = load_engine(path, device="cpu", dtype="bfloat16")
    without = load_engine(path, device="cpu", dtype="bfloat16", settings=EngineSettings(0, 0))
    # The noise of the format itself: how far one and the same computation moves a logit against float32.
    exact = load_engine(path, device="cpu")
    noise = 0.0
    for clips, mode, questions in cases(seed=17, count=30, most_frames=4):
        ids = exact.prompt_ids(clips, Ask(questions[0]), mode)
        rounded, wide = (one_shot(engine, clips, ids, mode)[1][0] for engine in (with_caches, exact))
        noise = max(noise, float((rounded - wide).abs().max()))
    differences = compare(with_caches, without, seed=17, count=60, most_frames=4, near_tie=2 * noise)
    assert all(difference.gap < 2 * noise for difference in differences)
    with capsys.disabled():
        print(f"\n60 cases in bfloat16, noise {noise:.3f}, differences within it: {differences or 'none'}")


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_tokens_are_those_of_generate_on_the_slice(tmp_path: Any, rooms: Any, capsys: Any) -> None:
    write_random_checkpoint(SHAPES["slice"](), rooms / "tokenizer.json", tmp_path / "slice", seed=2)
    with_caches = load_engine(str(tmp_path / "slice"), device="cpu")
    without = load_engine(str(tmp_path / "slice"), device="cpu", settings=EngineSettings(0, 0))
    differences = compare(with_caches, without, seed=5, count=SLICE_CASES, most_frames=3)
    assert all(difference.gap < NEAR_TIE for difference in differences)
    with capsys.disabled():
        print(f"\n{SLICE_CASES} cases on the slice, differences at near ties: {differences or 'none'}")


def logits_of_answer(engine: Engine, clips: list[Clip], question: str) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []

    def look(tokens: Any, logits: torch.Tensor) -> torch.Tensor:
        seen.append(logits.clone())
        return logits

    engine.answer_many(clips, [Ask(question, max_new_tokens=6, hook=look)])
    return seen


def test_warm_and_cold_logits_are_equal_to_the_bit(nano_directory: Any, nano_without_caches: Engine) -> None:
    warm = load_engine(str(nano_directory), device="cpu")
    stream = Stream(seed=8, most_frames=5)
    for _ in range(12):
        clips = stream.next_clips(1)
        ours = logits_of_answer(warm, clips, "What moved?")
        cold = logits_of_answer(nano_without_caches, clips, "What moved?")
        assert len(ours) == len(cold) == 6
        assert all(torch.equal(a, b) for a, b in zip(ours, cold, strict=True))
    assert warm.counters().prefix_tokens_reused > 0
