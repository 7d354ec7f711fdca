"""Compare the engine with a server that has the same weights: both get the same questions, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..asking import AnswersQuestions, Ask, Generated, answers_in_order
from ..frames import Clip, Frame
from .measuring import NEW_TOKENS, QUESTIONS, STANDING_TOKENS, camera_frames, clip_of

CAMERAS, STANDING = 4, 8
LEAST_TOKENS = 2

TimedAnswers = tuple[float, list[Generated]]
"""Seconds, and the answers that took them."""


@dataclass(frozen=True)
class PeerGoal:
    """One thing that both sides are measured at.

    Attributes:
        name: P1 to P4, P10 or P11, as in docs/performance.md.
        what: What is measured, in words; `{frames}` stands for the frames of a clip.
        target: The ratio aimed at: theirs over ours.
        measure: Called with a side, the frames of a clip and a seed, which is another for every pair of runs; the same
            seed gives both sides the same pictures, which neither has seen.
    """

    name: str
    what: str
    target: float
    measure: Callable[[AnswersQuestions, int, int], TimedAnswers]


@dataclass(frozen=True)
class PeerMeasurement:
    """What became of one goal.

    Attributes:
        goal: Name of the goal.
        what: What was measured, in words.
        ours_s: Median time of this engine in seconds.
        theirs_s: Median time of the server in seconds.
        ratio: Median of the pairs' ratios, theirs over ours.
        lowest: The lowest of the pairs' ratios.
        highest: The highest of the pairs' ratios.
        target: The ratio aimed at.
        answers: Number of answers of each side.
        equal_answers: How many of them have the same tokens on both sides.
    """

    goal: str
    what: str
    ours_s: float
    theirs_s: float
    ratio: float
    lowest: float
    highest: float
    target: float
    answers: int
    equal_answers: int


def _asked(side: AnswersQuestions, clip: Clip, questions: Sequence[str], tokens: int) -> TimedAnswers:
    asks = [Ask(question, max_new_tokens=tokens) for question in questions]
    started_s = time.perf_counter()
    answers = answers_in_order(side, [clip], asks, mode="video")
    return time.perf_counter() - started_s, answers


def _new_clip(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    return _asked(side, clip_of(camera_frames(frames, seed)), QUESTIONS[:1], 1)


def _same_clip(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    clip = clip_of(camera_frames(frames, seed))
    _asked(side, clip, ["Is it light?"], 1)
    return _asked(side, clip, QUESTIONS[:1], 1)


def _one_more_frame(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    shown = camera_frames(frames, seed)
    _asked(side, clip_of(shown[:-1]), ["Is it light?"], 1)
    return _asked(side, clip_of(shown), QUESTIONS[:1], 1)


def _questions_together(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    return _asked(side, clip_of(camera_frames(frames, seed)), QUESTIONS, NEW_TOKENS)


def _per_token(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    clip = clip_of(camera_frames(frames, seed))
    _asked(side, clip, ["Is it light?"], 1)
    _, answers = _asked(side, clip, QUESTIONS[:1], NEW_TOKENS)
    (answer,) = answers
    if answer.new_tokens < LEAST_TOKENS:
        raise ValueError(
            f"the time per token cannot be measured: {side.name} gave an answer of {answer.new_tokens} tokens "
            f"({answer.text!r}); take weights whose answers are longer, such as those of `llava-ov bench weights`"
        )
    return (answer.total_s - answer.time_to_first_token_s) / (answer.new_tokens - 1), answers


def _saturation(side: AnswersQuestions, frames: int, seed: int) -> TimedAnswers:
    """Each camera's clip is known but for its newest frame; eight questions about each camera wait at once."""
    shown = [camera_frames(frames, seed * CAMERAS + camera) for camera in range(CAMERAS)]
    for frames_of_camera in shown:
        _asked(side, clip_of(frames_of_camera[:-1]), ["Is it light?"], 1)

    def of_camera(frames_of_camera: Sequence[Frame]) -> list[Generated]:
        return _asked(side, clip_of(frames_of_camera), QUESTIONS[:STANDING], STANDING_TOKENS)[1]

    # A server answers about all cameras at once; an engine that only one thread may use, about one after the other.
    with ThreadPoolExecutor(min(CAMERAS, side.at_once)) as pool:
        started_s = time.perf_counter()
        answers = [answer for found in pool.map(of_camera, shown) for answer in found]
        return time.perf_counter() - started_s, answers


GOALS: tuple[PeerGoal, ...] = (
    PeerGoal("P10", "time to first token, new clip of {frames} frames", 1.1, _new_clip),
    PeerGoal("P1", "time to first token, another question about a known clip of {frames} frames", 1.5, _same_clip),
    PeerGoal("P2", "time to first token after one more frame, clip of {frames}", 5.0, _one_more_frame),
    PeerGoal("P4", "time per token of a single answer", 1.2, _per_token),
    PeerGoal(
        "P3",
        f"{len(QUESTIONS)} questions of {NEW_TOKENS} tokens about a new clip of {{frames}} frames",
        1.3,
        _questions_together,
    ),
    PeerGoal(
        "P11",
        f"{CAMERAS * STANDING} answers of {STANDING_TOKENS} tokens: {CAMERAS} cameras with one new frame each, "
        f"{STANDING} questions about each",
        3.0,
        _saturation,
    ),
)


def peer_benchmark(
    ours: AnswersQuestions,
    theirs: AnswersQuestions,
    *,
    frames: int,
    repeats: int,
    goals: Sequence[str],
    note: Callable[[str], None],
) -> Iterator[PeerMeasurement]:
    """Measure goals one after the other; within each, the sides take turns, and who begins changes.

    Args:
        ours: The engine on this machine.
        theirs: The engine that asks the server.
        frames: Frames of a clip, at least 2.
        repeats: How often each side runs; medians count.
        goals: Names of the goals, of GOALS.
        note: Called with one line about each step.

    Yields:
        The measurement of each goal.

    Raises:
        ValueError: An answer is too short to be measured.
        ServerError: The server does not answer.
    """
    sides = (ours, theirs)
    note("warming both sides up")
    for side in sides:
        _asked(side, clip_of(camera_frames(frames, seed=999)), QUESTIONS[:2], LEAST_TOKENS)
    for goal in GOALS:
        if goal.name not in goals:
            continue
        runs: list[tuple[TimedAnswers, TimedAnswers]] = []
        for repeat in range(repeats):
            note(f"measuring {goal.name}, pair {repeat + 1} of {repeats}")
            seed = (GOALS.index(goal) + 1) * 1000 + repeat
            order = sides if repeat % 2 == 0 else sides[::-1]
            found = [goal.measure(side, frames, seed) for side in order]
            runs.append((found[0], found[1]) if repeat % 2 == 0 else (found[1], found[0]))
        ratios = [theirs_s / ours_s for (ours_s, _), (theirs_s, _) in runs]
        pairs = [pair for (_, own), (_, other) in runs for pair in zip(own, other, strict=True)]
        yield PeerMeasurement(
            goal.name,
            goal.what.format(frames=frames),
            statistics.median(ours_s for (ours_s, _), _ in runs),
            statistics.median(theirs_s for _, (theirs_s, _) in runs),
            statistics.median(ratios),
            min(ratios),
            max(ratios),
            goal.target,
            len(pairs),
            sum(own.token_ids == other.token_ids for own, other in pairs),
        )
