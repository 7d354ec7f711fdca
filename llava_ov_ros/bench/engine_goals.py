"""Compare the engine with transformers' `generate`: same weights, same clip, both sides in turn in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from ..asking import Ask, Generated, LogitHook
from ..frames import Clip, DecodeOptions, decode
from ..frames.growing import GrowingClip
from ..onevision.checkpoint import Checkpoint
from ..onevision.engine import Engine
from ..onevision.engine_settings import EngineSettings
from ..onevision.memory import check_fits, plan_memory
from ..onevision.pixels import normalised, squashed
from ..onevision.shapes import SHAPES, random_checkpoint, tensor_shapes, widened
from .measuring import (
    HEIGHT,
    NEW_TOKENS,
    QUESTIONS,
    STANDING_TOKENS,
    WIDTH,
    Bench,
    Measurement,
    camera_frames,
    clip_of,
    compared,
    decode_floor_s,
    growth,
    prepare_all,
    timed,
)
from .plain_path import TokenTimes, plain_generate, plain_inputs

# A plan of 16 steps, 8 actions and 80 places, which never ends before.
ACTIONS = " | ".join(f'"Action{number}"' for number in range(8))
PLACES = " | ".join(f'"place{number}"' for number in range(80))
PLAN_GRAMMAR = f'start: STEP ("; " STEP){{15}}\nSTEP: ({ACTIONS}) " " ({PLACES})\n'


def first_tokens(bench: Bench, clip: Clip, question: str) -> tuple[float, float, bool]:
    """Return the seconds to the first token of both sides, and whether both chose the same token."""
    ours_s, answer = timed(bench, bench.engine.answer, [clip], question, max_new_tokens=1)
    inputs = plain_inputs(bench.engine, clip, question)
    theirs_s, tokens = timed(bench, plain_generate, bench.engine, inputs, 1)
    return ours_s, theirs_s, list(answer.token_ids) == tokens


def clip_unchanged(bench: Bench) -> Measurement:
    """P1: time to the first token of a new question about a clip that was asked about before."""
    clip = clip_of(camera_frames(bench.frames, seed=1))
    prepare_all(bench.engine, clip)
    bench.engine.answer([clip], "Is it light?", max_new_tokens=1)
    measured = []
    for repeat in range(bench.repeats):
        measured.append(first_tokens(bench, clip, QUESTIONS[repeat % len(QUESTIONS)]))
    ours, theirs, same = zip(*measured, strict=True)
    a, b, ratio = compared(ours, theirs)
    what = f"time to first token, clip of {bench.frames} frames unchanged"
    return Measurement("P1", what, a, b, ratio, decode_floor_s(bench), bench.target(60, 20), all(same))


def one_new_frame(bench: Bench) -> Measurement:
    """P2: time to the first token after one frame was added to the clip, its preprocessing and encoding included."""
    measured = []
    for repeat in range(bench.repeats):
        frames = camera_frames(bench.frames, seed=100 + repeat)
        prepare_all(bench.engine, clip_of(frames[:-1]))
        measured.append(first_tokens(bench, clip_of(frames), QUESTIONS[repeat % len(QUESTIONS)]))
    ours, theirs, same = zip(*measured, strict=True)
    a, b, ratio = compared(ours, theirs)
    what = f"time to first token after one new frame, clip of {bench.frames}"
    return Measurement("P2", what, a, b, ratio, None, bench.target(10, 3), all(same))


def questions_together(bench: Bench) -> Measurement:
    """P3: 16 questions about a new clip, against 16 calls of `generate`."""
    ours, theirs, same = [], [], True
    for repeat in range(max(1, bench.repeats // 3)):
        clip = clip_of(camera_frames(bench.frames, seed=200 + repeat))
        asks = [Ask(question, max_new_tokens=NEW_TOKENS) for question in QUESTIONS]
        seconds, answers = timed(bench, bench.engine.answer_many, [clip], asks)
        ours.append(seconds)
        spent = 0.0
        for question, answer in zip(QUESTIONS, answers, strict=True):
            inputs = plain_inputs(bench.engine, clip, question)
            seconds, tokens = timed(bench, plain_generate, bench.engine, inputs, NEW_TOKENS)
            spent += seconds
            same &= list(answer.token_ids) == tokens
        theirs.append(spent)
    a, b, ratio = compared(ours, theirs)
    what = f"{len(QUESTIONS)} questions of {NEW_TOKENS} tokens about a new clip of {bench.frames} frames"
    return Measurement("P3", what, a, b, ratio, None, bench.target(100, 8), same)


def single_stream(bench: Bench) -> Measurement:
    """P4: time per token of one answer, without the first token."""
    clip = clip_of(camera_frames(bench.frames, seed=300))
    prepare_all(bench.engine, clip)
    ours, theirs, same = [], [], True
    for repeat in range(bench.repeats):
        question = QUESTIONS[repeat % len(QUESTIONS)]
        answer: Generated = bench.engine.answer([clip], question, max_new_tokens=NEW_TOKENS)
        ours.append((answer.total_s - answer.time_to_first_token_s) / (NEW_TOKENS - 1))
        times = TokenTimes()
        tokens = plain_generate(bench.engine, plain_inputs(bench.engine, clip, question), NEW_TOKENS, times)
        # The first entry is the prompt itself.
        theirs.append((times.at_s[-1] - times.at_s[1]) / (NEW_TOKENS - 1))
        same &= list(answer.token_ids) == tokens
    a, b, ratio = compared(ours, theirs)
    what = "time per token of a single answer"
    return Measurement("P4", what, a, b, ratio, decode_floor_s(bench), bench.target(20, 1), same)


def _pillow_input(rgb: np.ndarray, size: int) -> torch.Tensor:
    """Preprocess as the original code does: Pillow bicubic, /255, mean and standard deviation, channels first."""
    small = Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC)
    values = (np.asarray(small, dtype=np.float32) / 255 - 0.5) / 0.5
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]


def _our_input(rgb: np.ndarray, size: int) -> torch.Tensor:
    return normalised(squashed(rgb, size), torch.float32)


def preprocessing(bench: Bench) -> Measurement:
    """P5: time from a 720p frame to the input of the vision tower, on the CPU."""
    size = bench.model.config.vision_config.image_size
    frames = camera_frames(8, seed=400)
    ours, theirs = [], []
    for repeat in range(8 * bench.repeats):
        rgb = frames[repeat % len(frames)].rgb
        ours.append(timed(bench, _our_input, rgb, size)[0])
        theirs.append(timed(bench, _pillow_input, rgb, size)[0])
    a, b, ratio = compared(ours, theirs)
    what = f"preprocessing of a {WIDTH}x{HEIGHT} frame, against Pillow bicubic and normalisation"
    return Measurement("P5", what, a, b, ratio, None, 5, None)


def work_over_ideal(bench: Bench, frames: int) -> Measurement:
    """P6: tower passes per frame, and prefilled tokens over the ideal number.

    Measured over a stream with four standing questions.
    """
    engine = bench.engine
    before = engine.counters()
    growing = GrowingClip("camera", growth(bench))
    anchors: dict[int, set[int]] = {}
    suffix_tokens = 0
    for number, frame in enumerate(camera_frames(frames, seed=500)):
        growing.add(frame, oldest_ns=0)
        clip = growing.current
        assert clip is not None
        anchors.setdefault(clip.frames[0].stamp_ns, set()).update(f.stamp_ns for f in clip.frames)
        prepare_all(engine, clip)
        prepare_all(engine, growing.coming)
        questions = QUESTIONS[:4] + ([QUESTIONS[4]] if number % 3 == 0 else [])
        head = engine.prefix_length([clip])
        for answer in engine.answer_many([clip], [Ask(question, max_new_tokens=2) for question in questions]):
            suffix_tokens += answer.prompt_tokens - head
    after = engine.counters()
    one = clip_of(camera_frames(1, seed=0))
    per_frame = engine.prefix_length([clip_of([*one.frames, *one.frames])]) - engine.prefix_length([one])
    ideal = suffix_tokens + per_frame * sum(map(len, anchors.values()))
    spent = after.suffix_tokens - before.suffix_tokens + after.prefix_tokens - before.prefix_tokens
    counters = {
        "frames": frames,
        "tower_passes_per_frame": (after.tiles_encoded - before.tiles_encoded) / frames,
        "prefilled_tokens": spent,
        "ideal_tokens": ideal,
    }
    what = f"prefilled tokens over the ideal, {frames} frames with 4 standing questions and 1 every third frame"
    return Measurement("P6", what, None, None, spent / ideal, None, 1.05, None, counters, at_most=True)


def robot_second(bench: Bench) -> Measurement:
    """P7: one second of a camera at 5 Hz with 8 standing questions.

    The other side answers each question from the newest clip.
    """
    cameras = 4 if bench.on_cuda else 1
    ours, theirs, same = 0.0, 0.0, True
    asks = [Ask(question, max_new_tokens=STANDING_TOKENS) for question in QUESTIONS[:8]]
    for camera in range(cameras):
        growing = GrowingClip(f"camera {camera}", growth(bench))
        for frame in camera_frames(bench.frames - 1, seed=600 + camera):
            growing.add(frame, oldest_ns=0)
        prepare_all(bench.engine, growing.current)
        prepare_all(bench.engine, growing.coming)
        for frame in camera_frames(5, seed=700 + camera):
            growing.add(frame, oldest_ns=0)
            ours += timed(bench, prepare_all, bench.engine, growing.current)[0]
            ours += timed(bench, prepare_all, bench.engine, growing.coming)[0]
        clip = growing.current
        assert clip is not None
        seconds, answers = timed(bench, bench.engine.answer_many, [clip], asks)
        ours += seconds
        for ask, answer in zip(asks, answers, strict=True):
            inputs = plain_inputs(bench.engine, clip, ask.question)
            seconds, tokens = timed(bench, plain_generate, bench.engine, inputs, STANDING_TOKENS)
            theirs += seconds
            same &= list(answer.token_ids) == tokens
    what = f"busy time in one second of {cameras} camera(s) at 5 Hz, 8 standing questions of {STANDING_TOKENS} tokens"
    return Measurement("P7", what, ours, theirs, theirs / ours, None, bench.target(100, 15), same)


def message_to_input(bench: Bench) -> Measurement:
    """P8: CPU time from an rgb8 message of 720p to the model's input.

    The other side copies the picture and resizes it with Pillow.
    """
    size = bench.model.config.vision_config.image_size
    rgb = camera_frames(1, seed=800)[0].rgb
    message = SimpleNamespace(
        header=None, height=HEIGHT, width=WIDTH, encoding="rgb8", is_bigendian=0, step=3 * WIDTH, data=rgb.ravel()
    )
    options = DecodeOptions()

    def naive() -> torch.Tensor:
        copied = np.frombuffer(message.data.tobytes(), np.uint8).reshape(HEIGHT, WIDTH, 3)
        return _pillow_input(copied, size)

    ours, theirs = [], []
    for _ in range(8 * bench.repeats):
        begun = time.process_time()
        _our_input(decode(message, "camera", options), size)
        ours.append(time.process_time() - begun)
        begun = time.process_time()
        naive()
        theirs.append(time.process_time() - begun)
    a, b, ratio = compared(ours, theirs)
    return Measurement("P8", "CPU time of a 1280x720 rgb8 message to the model's input", a, b, ratio, None, 8, None)


def grammar_mask(bench: Bench, checkpoint: Checkpoint, tokenizer: Path) -> Measurement:
    """P9: time per token of answers held to a plan's grammar, over the same time without the masks.

    Both times come from the same answers, because free answers have another text and so take another time.
    """
    # As many tokens as the logits have places, since a mask is made by going through the tokens.
    vocabulary = checkpoint.model.lm_head.weight.shape[0]
    engine = Engine(replace(checkpoint, tokenizer=widened(tokenizer, vocabulary)))
    clip = clip_of(camera_frames(bench.frames, seed=850))
    prepare_all(engine, clip)
    masks_s: list[float] = []

    def hook() -> LogitHook:
        masked = engine.grammar_hook(PLAN_GRAMMAR)

        def measured(tokens: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
            seconds, result = timed(bench, masked, tokens, logits)
            # The first token is no step of its own.
            masks_s.append(seconds if tokens else 0.0)
            return result  # type: ignore[no-any-return]

        return measured

    def per_token_s(count: int) -> tuple[float, float]:
        masks_s.clear()
        asks = [Ask(question, NEW_TOKENS, hook=hook()) for question in QUESTIONS[:count]]
        last = max(engine.answer_many([clip], asks), key=lambda answer: answer.total_s)
        steps, seconds = NEW_TOKENS - 1, last.total_s - last.time_to_first_token_s
        return seconds / steps, (seconds - sum(masks_s)) / steps

    medians: dict[int, tuple[float, float]] = {}
    for count in (1, len(QUESTIONS)):
        per_token_s(count)
        held, free = zip(*(per_token_s(count) for _ in range(bench.repeats)), strict=True)
        medians[count] = statistics.median(held), statistics.median(free)
    (alone, alone_free), (ours, theirs) = medians.values()
    what = f"time per token of {len(QUESTIONS)} answers held to a plan grammar, over the same less the masks"
    counters = {"ratio_of_a_single_answer": alone / alone_free}
    return Measurement("P9", what, ours, theirs, ours / theirs, None, 1.1, None, counters, at_most=True)


def clip_frames(device: torch.device) -> int:
    """Return the number of frames of the clips that are asked about."""
    return 16 if device.type == "cuda" else 4


def check_shape_fits(shape: str, device: torch.device, dtype: torch.dtype, quantize: str) -> None:
    """Check that the device has room for a model of a shape.

    Args:
        shape: A key of SHAPES.
        device: Device to measure on.
        dtype: Number format of the weights.
        quantize: none, or how the language model's layers are quantised.

    Raises:
        MemoryError: The model does not fit; the text gives the numbers.
    """
    config, settings = SHAPES[shape](), EngineSettings(clip_frames=clip_frames(device))
    shapes = tensor_shapes(config)
    plan = plan_memory(config, shapes, dtype=dtype, settings=settings, device=device, quantize=quantize)
    check_fits(plan, f"random {shape}", device)


def engine_benchmark(
    shape: str,
    tokenizer: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    quantize: str = "none",
    repeats: int,
    goals: Sequence[str],
    note: Callable[[str], None],
) -> Iterator[Measurement]:
    """Measure goals one after the other.

    Args:
        shape: nano, slice, 0.5b or 7b; the weights are random.
        tokenizer: Path of the tokenizer.json of models/rooms.
        device: Device to measure on.
        dtype: Number format of the weights.
        quantize: none, or how the engine's layers are quantised; transformers has what the quantised weights stand for.
        repeats: How often each side runs; the median counts.
        goals: The goals to measure, of P1 to P9.
        note: Called with one line about each step.

    Yields:
        The measurement of each goal.
    """
    note(f"making random weights of shape {shape} on {device}")
    checkpoint = random_checkpoint(shape, tokenizer, device=device, dtype=dtype, quantize=quantize)
    bench = Bench(Engine(checkpoint, EngineSettings(clip_frames=clip_frames(device))), clip_frames(device), repeats)
    bench.engine.prepare_steps()
    warm_up = clip_of(camera_frames(1, seed=900))
    bench.engine.answer([warm_up], "Warm?", max_new_tokens=2)
    plain_generate(bench.engine, plain_inputs(bench.engine, warm_up, "Warm?"), 2)
    stream_frames = 200 if shape == "nano" or device.type == "cuda" else 24
    measured: dict[str, Callable[[], Measurement]] = {
        "P1": lambda: clip_unchanged(bench),
        "P2": lambda: one_new_frame(bench),
        "P3": lambda: questions_together(bench),
        "P4": lambda: single_stream(bench),
        "P5": lambda: preprocessing(bench),
        "P6": lambda: work_over_ideal(bench, stream_frames),
        "P7": lambda: robot_second(bench),
        "P8": lambda: message_to_input(bench),
        "P9": lambda: grammar_mask(bench, checkpoint, tokenizer),
    }
    for goal in goals:
        note(f"measuring {goal}")
        bench.engine.drop_caches()
        bench.engine.prepare_steps()
        yield measured[goal]()
