"""Cuts clips of one camera, spread over a recording, as the node would cut them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..frames import Camera, Clip
from ..frames.camera_settings import recording_settings
from ..questions import RefusedError
from .answer_replay import ReplaySettings, clips_at, counted_by, moments, query_of
from .bag import ImageTopic, read_messages
from .names import camera_names
from .question_file import TimedQuestion


def spread_clips(bag: Path, topic: ImageTopic, count: int, settings: ReplaySettings) -> Iterator[tuple[int, Clip]]:
    """Yield clips that end at equal intervals, the last clip at the recording's end.

    Args:
        bag: The recording.
        topic: Image topic of the camera.
        count: Number of clips.
        settings: Length of the clips' window (None: growing clips), and the ages from which on the camera is stale or
            frozen.

    Yields:
        The number of the clip, from 0, and the clip. Clips about which the node would refuse to answer (stale, frozen,
        no frame) are left out.

    Raises:
        BagError: The bag is damaged.
    """
    camera = Camera(camera_names([topic.name])[topic.name], recording_settings(max_frames=settings.max_frames))
    cameras, by_name = {topic.name: camera}, {camera.name: camera}
    span_ns = max(0, topic.last_ns - topic.first_ns)
    ends = [TimedQuestion("what is there", span_ns * number // count) for number in range(1, count + 1)]
    messages = read_messages(bag, [topic.name], on_malformed=counted_by(cameras))
    for number, end, now_ns in moments(messages, cameras, ends):
        query = query_of(number, end, by_name, settings)
        try:
            (clip,) = clips_at(now_ns, by_name, settings)(query)
        except RefusedError:
            continue
        yield number - 1, clip
