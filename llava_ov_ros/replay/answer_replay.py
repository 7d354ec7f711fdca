"""Replays a recording without a clock: offers its messages to cameras, and answers each question at its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..asking import AnswersQuestions
from ..bounds import check_whole
from ..frames import Camera, Clip
from ..questions import Query, Result, answer_queries, cut_clips
from ..settings import DEFAULTS
from .bag import BagMessage, MalformedMessage
from .question_file import TimedQuestion
from .schedule import Schedule


@dataclass(frozen=True)
class ReplaySettings:
    """Settings of the clips and answers of a replay; the defaults are those of the node's parameters.

    Attributes:
        mode: Visual mode of the engine: video, multi_image or image.
        window_ns: Length of the window, in nanoseconds, for a question without a window of its own; None: such a
            question is about each camera's growing clip, like a question to the node.
        max_frames: Most frames of one camera in a window. The camera's settings bound the growing clip.
        max_new_tokens: Longest answer, in tokens.
        max_age_ns: A camera whose newest frame is older than this many nanoseconds is stale.
        frozen_after_ns: A camera with an identical picture for this many nanoseconds is frozen; 0: no camera is frozen.

    Raises:
        ValueError: max_frames or max_new_tokens is no whole number from 1, or another number is no whole number from 0.
    """

    mode: str = DEFAULTS.visual_mode
    window_ns: int | None = None
    max_frames: int = DEFAULTS.clip_frames
    max_new_tokens: int = DEFAULTS.max_new_tokens
    max_age_ns: int = DEFAULTS.max_frame_age_ns
    frozen_after_ns: int = DEFAULTS.frozen_after_ns

    def __post_init__(self) -> None:
        for name in ("max_frames", "max_new_tokens"):
            check_whole(name, getattr(self, name), 1)
        for name in ("window_ns", "max_age_ns", "frozen_after_ns"):
            if name != "window_ns" or self.window_ns is not None:
                check_whole(name, getattr(self, name), 0)


@dataclass(frozen=True, eq=False)
class Answered:
    """A question of a replay and its result.

    Attributes:
        question: The question.
        now_ns: Time of the question in nanoseconds, on the clock of the frames' stamps.
        result: The answer or the refusal.
    """

    question: TimedQuestion
    now_ns: int
    result: Result


def replay(
    messages: Iterable[BagMessage],
    cameras: Mapping[str, Camera],
    questions: Sequence[TimedQuestion],
    engine: AnswersQuestions,
    settings: ReplaySettings,
) -> Iterator[Answered]:
    """Offer every message to its camera once, and answer each question at its time.

    A question is asked before the first message that is later than the question, so its clip may hold all frames up to
    the question's time and no later frame. Questions that are later than every message are asked after the last
    message. Time is counted from the first message; in a looped recording, where the stamps jump back, time goes on.

    Args:
        messages: Messages in order of time, as `read_messages` yields them.
        cameras: The camera of each topic. Afterwards the cameras' counters say how many messages were admitted or left
            out.
        questions: Questions in any order; questions of equal times keep their order.
        engine: The model.
        settings: Settings of the clips and answers.

    Yields:
        The results, in order of their questions' times.
    """
    by_name = {camera.name: camera for camera in cameras.values()}
    for number, question, now_ns in moments(messages, cameras, questions):
        query = query_of(number, question, by_name, settings)
        yield Answered(question, now_ns, answer_queries([query], engine, clips_at(now_ns, by_name, settings))[0])


def counted_by(cameras: Mapping[str, Camera]) -> Callable[[MalformedMessage], None]:
    """Return a callback for `read_messages` by which the camera of a topic counts the topic's malformed messages."""
    return lambda message: cameras[message.topic].count_malformed(str(message))


def moments(
    messages: Iterable[BagMessage], cameras: Mapping[str, Camera], questions: Sequence[TimedQuestion]
) -> Iterator[tuple[int, TimedQuestion, int]]:
    """Offer every message to its camera once, and yield each question when the question is due.

    When a question is yielded, the cameras hold the frames up to the question's time. A caller that needs no further
    question may stop iterating; the remaining messages are then not read.

    Args:
        messages: Messages in order of time, as `read_messages` yields them.
        cameras: The camera of each topic.
        questions: Questions in any order; questions of equal times keep their order.

    Yields:
        The question's number, from 1 in order of time; the question; and its time in nanoseconds, on the clock of the
        frames' stamps.
    """
    schedule = Schedule(questions)
    for message in messages:
        schedule.take(message)
        yield from schedule.due()
        cameras[message.topic].offer(message.message, message.time_ns)
    yield from schedule.rest()


def query_of(number: int, question: TimedQuestion, cameras: Mapping[str, Camera], settings: ReplaySettings) -> Query:
    """Make the query of a question about a recording.

    Args:
        number: Number of the question, for the request id.
        question: The question.
        cameras: The cameras by their names; the query is about all of them.
        settings: Settings of the clips and answers.
    """
    return Query(
        question.ask,
        tuple(cameras),
        mode=settings.mode,
        window_ns=settings.window_ns if question.window_ns is None else question.window_ns,
        max_frames=settings.max_frames,
        max_new_tokens=settings.max_new_tokens,
        request_id=f"replay-{number}",
    )


def clips_at(
    now_ns: int, cameras: Mapping[str, Camera], settings: ReplaySettings
) -> Callable[[Query], tuple[Clip, ...]]:
    """Return a function that cuts the clips of a query at a given time.

    The function raises RefusedError if a camera is stale, frozen or without frames, because an answer would be a guess.

    Args:
        now_ns: The given time in nanoseconds, on the clock of the frames' stamps.
        cameras: The cameras by their names.
        settings: Ages from which on a camera is stale or frozen.
    """
    return lambda query: cut_clips(query, cameras, now_ns, settings.max_age_ns, settings.frozen_after_ns)
