"""Cuts the clips that a query asks for, and refuses where an answer would be a guess."""

from __future__ import annotations

from collections.abc import Mapping

from ..frames import NS_PER_S, Camera, Clip, NoFramesError
from ..frames.buffer import seconds
from .query import Query, Status


class RefusedError(Exception):
    """The question cannot be answered from what the cameras show."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def cut_clips(
    query: Query, cameras: Mapping[str, Camera], now_ns: int, max_age_ns: int, frozen_after_ns: int
) -> tuple[Clip, ...]:
    """The clips that a query asks for, one per camera.

    Age and frozen picture are judged for the window that ends now; a past time range is what it is.

    Args:
        query: What is asked.
        cameras: All cameras by name.
        now_ns: The clock that the frames' stamps belong to.
        max_age_ns: A camera whose newest frame is older is stale.
        frozen_after_ns: A camera with an identical picture for that long is frozen; 0 switches the test off.

    Raises:
        RefusedError: A camera is stale, frozen or has no frame in the range: the answer would be a guess.
    """
    clips = []
    for name in query.cameras:
        camera = cameras[name]
        try:
            if query.range_ns is not None:
                clips.append(camera.clip(*query.range_ns, query.max_frames))
                continue
            clip = camera.growing_clip() if query.growing else camera.recent_clip(query.window_ns, query.max_frames)
        except NoFramesError as error:
            raise RefusedError(Status.NO_FRAMES, str(error) + _intake(camera)) from None
        age_ns = camera.age_ns(now_ns)
        if age_ns is None or age_ns > max_age_ns:
            raise RefusedError(
                Status.STALE,
                f"camera {name!r}: its newest usable frame, stamped {seconds(clip.newest_ns)}, is "
                f"{(age_ns or 0) / NS_PER_S:.1f} s old, more than max_frame_age_s {max_age_ns / NS_PER_S:g}"
                + _intake(camera),
            )
        same_ns = camera.same_picture_ns()
        if 0 < frozen_after_ns <= same_ns:
            raise RefusedError(
                Status.FROZEN,
                f"camera {name!r} sends new stamps with an identical picture for {same_ns / NS_PER_S:.1f} s "
                f"(frozen_after_s {frozen_after_ns / NS_PER_S:g}): restart its driver",
            )
        clips.append(clip)
    return tuple(clips)


def _intake(camera: Camera) -> str:
    """What explains missing frames, for the end of a message."""
    counts = camera.counts
    reasons = [
        f"{count} {what}"
        for count, what in (
            (counts.malformed, "malformed"),
            (counts.future_stamps, "stamped in the future"),
            (counts.out_of_order, "out of order"),
            (counts.blurred, "blurred"),
        )
        if count
    ]
    text = f" ({counts.received} messages received" + "".join(f", {reason}" for reason in reasons) + ")"
    return text + (f"; last error: {counts.last_error}" if counts.last_error else "")
