"""Offers the messages of a recording to cameras, and has questions answered when their times come. Knows no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..bounds import check_whole
from ..frames import Camera, Clip
from ..questions import AnswersQuestions, Query, Result, answer_queries, cut_clips
from ..settings import DEFAULTS
from .bag import BagMessage, MalformedMessage
from .question_file import TimedQuestion
from .schedule import Schedule


@dataclass(frozen=True)
class ReplaySettings:
    """How questions become clips and answers; the defaults are those of the parameters.

    Attributes:
        mode: Visual mode of the engine: video, multi_image or image.
        window_ns: Length of the window that a question without one of its own is about; None: such a question is about
            each camera's growing clip, like a question to the node.
        max_frames: Most frames of one camera in a window. The growing clip's bound is in the camera's settings.
        max_new_tokens: Longest answer.
        max_age_ns: A camera whose newest frame is older is stale.
        frozen_after_ns: A camera with an identical picture for that long is frozen; 0 switches the test off.

    Raises:
        ValueError: A number is too small.
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
        now_ns: The time it was asked, on the clock of the frames' stamps.
        result: The answer, or why there is none.
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
    """Offer every message to its camera once, and yield each result as it comes.

    A question is asked before the first message that is later than it, so its clip may hold all frames up to its
    time and none after. Questions that are later than every message are asked after the last one. Time is
    counted from the first message; in a looped recording it goes on counting where the stamps jump back.

    Args:
        messages: In order of time, as `read_messages` yields them.
        cameras: The camera of each topic. Their counters say afterwards what became of the messages.
        questions: In any order; equal times keep theirs.
        engine: The model.
        settings: How questions become clips and answers.

    Yields:
        The answers, in order of their questions' times.
    """
    by_name = {camera.name: camera for camera in cameras.values()}
    for number, question, now_ns in moments(messages, cameras, questions):
        query = query_of(number, question, by_name, settings)
        yield Answered(question, now_ns, answer_queries([query], engine, clips_at(now_ns, by_name, settings))[0])


def counted_by(cameras: Mapping[str, Camera]) -> Callable[[MalformedMessage], None]:
    """A function for `read_messages` that has each malformed message counted by the camera of its topic."""
    return lambda message: cameras[message.topic].count_malformed(str(message))


def moments(
    messages: Iterable[BagMessage], cameras: Mapping[str, Camera], questions: Sequence[TimedQuestion]
) -> Iterator[tuple[int, TimedQuestion, int]]:
    """Offer every message to its camera once, and yield number, question and time of each question when it is due.

    At that moment the cameras hold the frames up to the question's time. A caller that needs no further question may
    stop iterating; the rest of the messages is then not read.
    """
    schedule = Schedule(questions)
    for message in messages:
        schedule.take(message)
        yield from schedule.due()
        cameras[message.topic].offer(message.message, message.time_ns)
    yield from schedule.rest()


def query_of(number: int, question: TimedQuestion, cameras: Mapping[str, Camera], settings: ReplaySettings) -> Query:
    """The query for a question of a recording.

    Args:
        number: The question's, for the request id.
        question: The question.
        cameras: The cameras by their names; the query is about all of them.
        settings: How it becomes a clip and an answer.
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
    """A function that cuts the clips of a query as of a time, and raises RefusedError where an answer would be a guess.

    Args:
        now_ns: The time, on the clock of the frames' stamps.
        cameras: The cameras by their names.
        settings: From when on a camera is stale or frozen.
    """
    return lambda query: cut_clips(query, cameras, now_ns, settings.max_age_ns, settings.frozen_after_ns)
