"""What a replay tells: a record of each answer, and remarks on the cameras and their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..frames import NS_PER_S, Camera, Clip, Frame
from ..questions.blank import blank_pictures
from ..questions.marks import says
from .answer_replay import Answered
from .bag import ImageTopic

TIMINGS = ("time_to_first_token_s", "total_time_s")
"""Fields of a record that differ between two runs; all others are the same."""


def answer_record(answered: Answered, model: str) -> dict[str, Any]:
    """An answer as a dictionary ready for JSON; names are those of msg/Answer where it has the field."""
    question, result = answered.question, answered.result
    return {
        "question": question.ask,
        "at_s": question.at_ns / NS_PER_S,
        "stamp_ns": answered.now_ns,
        "text": result.text,
        "confidence": result.confidence,
        "status": result.status.name,
        "message": result.message,
        "truth": question.gold,
        "kind": question.category,
        "correct": is_correct(result.text, question.gold) if question.gold else None,
        "mode": result.query.mode,
        "window_s": result.query.window_ns / NS_PER_S,
        "frames": frames_record(result.clips),
        "model": model,
        "new_tokens": result.new_tokens,
        "time_to_first_token_s": result.time_to_first_token_s,
        "total_time_s": result.total_s,
    }


def frames_record(clips: Sequence[Clip]) -> list[dict[str, Any]]:
    """Every frame of some clips, camera by camera, oldest first."""
    return [frame_record(frame) for clip in clips for frame in clip.frames]


def frame_record(frame: Frame) -> dict[str, Any]:
    """A frame as a dictionary ready for JSON; with the range of values shown, where the picture stores such values."""
    record = {"camera": frame.camera, "stamp_ns": frame.stamp_ns, "frame_id": frame.frame_id}
    return record if frame.value_range is None else {**record, "value_range": str(frame.value_range)}


def is_correct(text: str, truth: str) -> bool:
    """Whether an answer says exactly the truth, but for case, width, outer spaces and the mark at the end."""
    return says(text, truth)


def remarks(topics: Sequence[ImageTopic], cameras: Mapping[str, Camera]) -> list[str]:
    """What a user should know of the recording after its replay: a line per camera, then what is odd.

    Args:
        topics: The topics replayed.
        cameras: The camera of each topic.
    """
    lines = []
    for topic in topics:
        camera = cameras[topic.name]
        counts = camera.counts
        lines.append(f"{camera.name} ({topic.name}): {counts.received} messages, {counts.admitted} frames kept")
        if counts.zero_stamps:
            lines.append(
                f"{camera.name}: {counts.zero_stamps} messages have no header stamp; their record time was used"
            )
        if counts.jumps_back:
            lines.append(f"{camera.name}: stamps jumped back {counts.jumps_back} times (a looped recording?)")
        if counts.out_of_order:
            lines.append(f"{camera.name}: {counts.out_of_order} messages out of order were left out")
        if counts.awaiting_key_frame:
            lines.append(f"{camera.name}: {counts.awaiting_key_frame} messages of its video came before a key frame")
        if counts.malformed:
            lines.append(f"{camera.name}: {counts.malformed} malformed messages; the last: {counts.last_error}")
        if counts.damaged:
            lines.append(f"{camera.name}: {counts.damaged} damaged pictures were left out")
        if counts.blank:
            lines.append(f"{camera.name}: {blank_pictures(counts.blank, counts.last_blank)}")
    recorded = [topic for topic in topics if topic.count]
    if recorded and max(topic.first_ns for topic in recorded) > min(topic.last_ns for topic in recorded) + NS_PER_S:
        lines.append("the cameras share no time (different clocks?): " + "; ".join(map(_covers, recorded)))
    return lines


def _covers(topic: ImageTopic) -> str:
    clock = "header stamps" if topic.stamped else "record time"
    return f"{topic.name} {topic.first_ns / NS_PER_S:.3f} to {topic.last_ns / NS_PER_S:.3f} s ({clock})"
