"""Remarks on a recording after its replay: messages that a camera left out, and cameras that share no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..frames import NS_PER_S, Camera
from ..questions.blank import blank_pictures
from .bag import ImageTopic


def remarks(topics: Sequence[ImageTopic], cameras: Mapping[str, Camera]) -> list[str]:
    """List what a user should know about a recording after its replay.

    Args:
        topics: The topics that were replayed.
        cameras: The camera of each topic.

    Returns:
        For each camera, a line with its numbers of messages and frames, and a line for each irregularity of its
        messages; at last a line if the cameras share no time.
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
