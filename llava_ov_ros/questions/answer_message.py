"""The message of an answer, for every library that makes messages: rclpy in the node, rosbags in recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..frames import NS_PER_S, Clip, Frame
from .query import Result


@dataclass(frozen=True)
class AnswerTypes:
    """What makes the messages that an answer consists of; each takes every field of its message by name.

    Attributes:
        time: builtin_interfaces/Time.
        header: std_msgs/Header.
        frame_used: llava_ov_ros/FrameUsed.
        choice: llava_ov_ros/Choice.
        answer: llava_ov_ros/Answer.
    """

    time: Callable[..., Any]
    header: Callable[..., Any]
    frame_used: Callable[..., Any]
    choice: Callable[..., Any]
    answer: Callable[..., Any]


def stamp_message(types: AnswerTypes, time_ns: int) -> Any:
    """Convert a time in nanoseconds to a message."""
    sec, nanosec = divmod(time_ns, NS_PER_S)
    return types.time(sec=sec, nanosec=nanosec)


def header_of(types: AnswerTypes, frame: Frame) -> Any:
    """Return the header of the message that a frame came from, with the stamp of the message."""
    stamp = frame.stamp_ns if frame.header_stamp_ns is None else frame.header_stamp_ns
    return types.header(stamp=stamp_message(types, stamp), frame_id=frame.frame_id)


def header_of_newest(types: AnswerTypes, clips: Sequence[Clip]) -> Any:
    """Return the header of the newest frame of all clips; an empty header if there is no clip."""
    if not clips:
        return types.header(stamp=stamp_message(types, 0), frame_id="")
    return header_of(types, max((clip.frames[-1] for clip in clips), key=lambda frame: frame.stamp_ns))


def frames_of(types: AnswerTypes, clips: Sequence[Clip]) -> list[Any]:
    """List the frames of some clips as messages, with camera, header, stamp used and range of stored values shown."""
    return [
        types.frame_used(
            camera=clip.camera,
            header=header_of(types, frame),
            stamp_used=stamp_message(types, frame.stamp_ns),
            value_range="" if frame.value_range is None else str(frame.value_range),
        )
        for clip in clips
        for frame in clip.frames
    ]


def message_of_answer(types: AnswerTypes, result: Result, answered_at: Any, model: str) -> Any:
    """Make the message of an answer or a refusal.

    Args:
        types: What makes the messages.
        result: The end of the query.
        answered_at: When the query ended, as a message.
        model: Name of the checkpoint.
    """
    shaped, scene = result.query.shaped, result.scene
    value = None if scene is None else scene.value
    # rclpy aborts the process if a float field holds another type, such as an int or a numpy number.
    return types.answer(
        header=header_of_newest(types, result.clips),
        request_id=result.query.request_id,
        question=result.query.question,
        kind="" if shaped is None else str(shaped.question.kind),
        text=result.text,
        # Free text has no typed value, even if the text is "yes": a client that wants a value asks for another kind.
        known=scene is not None and scene.value is not None and scene.probabilities is not None,
        yes=value if isinstance(value, bool) else False,
        count=value if isinstance(value, int) and not isinstance(value, bool) else 0,
        confidence=float(result.confidence),
        choices=[
            types.choice(text=text, probability=float(probability))
            for text, probability in ((scene and scene.probabilities) or {}).items()
        ],
        status=int(result.status),
        message=result.message,
        frames=frames_of(types, result.clips),
        answered_at=answered_at,
        time_to_first_token_s=float(result.time_to_first_token_s),
        total_time_s=float(result.total_s),
        model=model,
    )
