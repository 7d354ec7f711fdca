"""Replays recorded messages through cameras and asks questions when their time comes. Knows no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..bounds import check_whole
from ..frames import NS_PER_S, Camera, Clip
from ..questions import AnswersQuestions, Query, Result, answer_queries, cut_clips
from .bag import BagMessage, MalformedMessage
from .question_file import TimedQuestion
from .schedule import Schedule


@dataclass(frozen=True)
class ReplaySettings:
    """How questions become clips and answers; the defaults are those of the node's parameters.

    Attributes:
        mode: Visual mode of the engine: video, multi_image or image.
        window_ns: Length of the clip of a question that has no window of its own.
        max_frames: Most frames of one camera.
        max_new_tokens: Longest answer.
        max_age_ns: A camera whose newest frame is older is stale.
        frozen_after_ns: A camera with an identical picture for that long is frozen; 0 switches the test off.

    Raises:
        ValueError: A number is too small.
    """

    mode: str = "video"
    window_ns: int = 8 * NS_PER_S
    max_frames: int = 4
    max_new_tokens: int = 64
    max_age_ns: int = 2 * NS_PER_S
    frozen_after_ns: int = 5 * NS_PER_S

    def __post_init__(self) -> None:
        for name in ("max_frames", "max_new_tokens"):
            check_whole(name, getattr(self, name), 1)
        for name in ("window_ns", "max_age_ns", "frozen_after_ns"):
            check_whole(name, getattr(self, name), 0)


@dataclass(frozen=True, eq=False)
class Answered:
    """A question of a replay and how it ended.

    Attributes:
        question: What was asked.
        now_ns: The time it was asked, on the clock of the frames' stamps.
        result: How it ended.
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
    """Offer every message to its camera once, and yield each answer as it comes.

    A question is asked before the first message that is later than it, so its clip may hold all frames up to its
    time and none after. Questions that are later than every message are asked after the last one. Time is
    counted from the first message; in a looped recording it goes on counting where the stamps jump back.

    Args:
        messages: In order of time, as `read_messages` yields them.
        cameras: The camera of each topic; their counters tell afterwards what became of the messages.
        questions: In any order; equal times keep theirs.
        engine: The model.
        settings: Clips and answers.

    Yields:
        The answers, in order of their questions' times.
    """
    by_name = {camera.name: camera for camera in cameras.values()}
    for number, question, now_ns in moments(messages, cameras, questions):
        query = query_of(number, question, by_name, settings)
        yield Answered(question, now_ns, answer_queries([query], engine, clips_at(now_ns, by_name, settings))[0])


def counted_by(cameras: Mapping[str, Camera]) -> Callable[[MalformedMessage], None]:
    """For `read_messages`: has each malformed message counted by the camera of its topic."""
    return lambda message: cameras[message.topic].count_malformed(str(message))


def moments(
    messages: Iterable[BagMessage], cameras: Mapping[str, Camera], questions: Sequence[TimedQuestion]
) -> Iterator[tuple[int, TimedQuestion, int]]:
    """Offer every message to its camera once, and yield number, question and time of each as it becomes due.

    The cameras then hold what was there at that time. Whoever wants no more need not read the rest of the messages.
    """
    schedule = Schedule(questions)
    for message in messages:
        schedule.take(message)
        yield from schedule.due()
        cameras[message.topic].offer(message.message, message.time_ns)
    yield from schedule.rest()


def query_of(number: int, question: TimedQuestion, cameras: Mapping[str, Camera], settings: ReplaySettings) -> Query:
    """The query of a question of a replay, to cameras by their names."""
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
    """Cuts the clips of a query from cameras by their names, as of a time; raises RefusedError for what it refuses."""
    return lambda query: cut_clips(query, cameras, now_ns, settings.max_age_ns, settings.frozen_after_ns)
