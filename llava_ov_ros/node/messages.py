"""Converts requests to queries, and results to ROS messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from llava_ov_ros.msg import Answer, AnswerChunk, Choice, FrameUsed

from ..bounds import quoted, shown
from ..frames import Clip, Frame, stamp_ns
from ..modes import MODES
from ..questions import (
    AnswerTypes,
    Kind,
    Prompts,
    Query,
    Result,
    SceneQuestion,
    message_of_answer,
    new_request_id,
    shape,
)
from ..questions.answer_message import frames_of, header_of, header_of_newest, stamp_message
from ..settings import Settings, nanoseconds
from .request_bounds import beyond_bounds

MOST_FRAMES = 1024
MOST_NEW_TOKENS = 4096
LONGEST_S = 1e6
TYPES = AnswerTypes(time=Time, header=Header, frame_used=FrameUsed, choice=Choice, answer=Answer)


class InvalidRequestError(ValueError):
    """A field of a request has a value that cannot be used; the text says what to change.

    Attributes:
        query: The query of the request, which the refusal needs.
    """

    def __init__(self, query: Query, reason: str) -> None:
        super().__init__(reason)
        self.query = query


def query_from(request: Any, settings: Settings, prompts: Prompts | None = None) -> Query:
    """Make the query of a service request or an action goal, with every default filled in.

    Args:
        request: A request of the service or a goal of the action `~/ask`.
        settings: The parameters, which have the defaults.
        prompts: The prompts for each kind of question; None: the node is not configured, so the model is not asked.

    Raises:
        InvalidRequestError: A field has a value that cannot be used.
    """
    if reason := beyond_bounds(request):
        refused = Query(shown(request.question.strip()), tuple(settings.cameras))
        raise InvalidRequestError(replace(refused, request_id=shown(request.request_id) or refused.request_id), reason)
    from_ns, to_ns = stamp_ns(request.from_stamp), stamp_ns(request.to_stamp)
    query = Query(
        question=request.question.strip(),
        cameras=tuple(request.cameras) or tuple(settings.cameras),
        mode=request.mode or settings.visual_mode,
        window_ns=_window_ns(request, settings),
        range_ns=(from_ns, to_ns) if from_ns or to_ns else None,
        max_frames=request.max_frames or settings.clip_frames,
        max_new_tokens=request.max_new_tokens or settings.max_new_tokens,
        deadline_s=request.deadline_s if _usable(request.deadline_s) else settings.deadline_s,
        request_id=request.request_id or new_request_id(),
        history=tuple(zip(request.history[::2], request.history[1::2], strict=False)),
    )
    unknown = [name for name in query.cameras if name not in settings.cameras]
    reason = ""
    if not query.question and request.kind != Kind.CHANGE:
        reason = "question is empty: say what you want to know"
    elif len(request.history) % 2:
        reason = f"history has {len(request.history)} texts: give a question and its answer for every earlier turn"
    elif blank := [number for number, text in enumerate(request.history, 1) if not text.strip()]:
        reason = f"text {blank[0]} of history is empty: give a question and its answer for every earlier turn"
    elif unknown:
        reason = f"there is no camera {shown(', '.join(map(repr, unknown)))}: cameras are {', '.join(settings.cameras)}"
    elif len(set(query.cameras)) != len(query.cameras):
        reason = f"cameras names one twice: {shown(', '.join(query.cameras))}"
    elif query.mode not in MODES:
        reason = f"mode is {quoted(query.mode)}: allowed are {', '.join(MODES)}"
    elif query.mode == "image" and len(query.cameras) > 1:
        reason = "mode image looks at one camera: name one in `cameras`, or ask in mode multi_image or video"
    elif from_ns > to_ns:
        reason = "from_stamp is later than to_stamp"
    elif query.max_frames > MOST_FRAMES:
        reason = f"max_frames is {query.max_frames}: allowed is up to {MOST_FRAMES}"
    elif query.max_new_tokens > MOST_NEW_TOKENS:
        reason = f"max_new_tokens is {query.max_new_tokens}: allowed is up to {MOST_NEW_TOKENS}"
    else:
        for name in ("window_s", "deadline_s"):
            value = getattr(request, name)
            if value != 0 and not _usable(value):
                reason = f"{name} is {value}: it must be up to {LONGEST_S:g} seconds, or 0 for the parameter"
    if reason:
        raise InvalidRequestError(query, reason)
    return _of_its_kind(query, request, prompts)


def _of_its_kind(query: Query, request: Any, prompts: Prompts | None) -> Query:
    """Return the query with the prompt and candidate answers of its kind; raise InvalidRequestError if this fails."""
    kinds = ", ".join(Kind)
    kind = request.kind or Kind.TEXT
    if kind not in list(Kind):
        raise InvalidRequestError(query, f"kind is {quoted(kind)}: allowed are {kinds}")
    try:
        question = SceneQuestion(Kind(kind), query.question, tuple(request.choices))
        if prompts is None:
            return query
        shaped = shape(question, prompts, query.max_new_tokens)
    except ValueError as error:
        raise InvalidRequestError(query, str(error)) from None
    return query.put_as(shaped)


def _window_ns(request: Any, settings: Settings) -> int | None:
    """Return the length in nanoseconds of the window that a request asks about; None: the growing clip."""
    if _usable(request.window_s):
        return nanoseconds(request.window_s)
    # A request with a number of frames gets a window, because the growing clip has a number of its own.
    return nanoseconds(settings.clip_window_s) if request.max_frames else None


def _usable(seconds: float) -> bool:
    return 0 < seconds <= LONGEST_S


def standing_query(question: str, settings: Settings) -> Query:
    """Make the query of a standing question or a hint, in which every other field has its default."""
    return Query(
        question=question,
        cameras=tuple(settings.cameras),
        mode=settings.visual_mode,
        max_frames=settings.clip_frames,
        max_new_tokens=settings.max_new_tokens,
        deadline_s=settings.deadline_s,
    )


def to_stamp(time_ns: int) -> Time:
    """Convert a time in nanoseconds to a message."""
    return stamp_message(TYPES, time_ns)


def frame_header(frame: Frame) -> Header:
    """Return the header of the message that a frame came from, with the stamp of the message."""
    return header_of(TYPES, frame)


def newest_header(clips: Sequence[Clip]) -> Header:
    """Return the header of the newest frame of all clips; an empty header if there is no clip."""
    return header_of_newest(TYPES, clips)


def frames_used(clips: Sequence[Clip]) -> list[FrameUsed]:
    """List the frames of some clips as messages, with camera, header, stamp used and range of stored values shown."""
    return frames_of(TYPES, clips)


def answer_message(result: Result, answered_at: Time, model: str) -> Answer:
    """Make the message of an answer or a refusal.

    Args:
        result: The end of the query.
        answered_at: Time of the node's clock.
        model: Name of the checkpoint.
    """
    return message_of_answer(TYPES, result, answered_at, model)


def chunk_message(request_id: str, clips: Sequence[Clip], index: int, text: str, done: bool) -> AnswerChunk:
    """Make the message of one piece of an answer.

    Args:
        request_id: Identifier of the request.
        clips: The clips that the answer rests on.
        index: Number of the piece, from 0.
        text: Text of the piece.
        done: Whether the answer has ended, so that no further piece follows.
    """
    return AnswerChunk(header=newest_header(clips), request_id=request_id, index=index, text=text, done=done)
