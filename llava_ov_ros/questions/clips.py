"""Cuts the clips for a query, and refuses where an answer would be a guess."""

from __future__ import annotations

from collections.abc import Mapping

from ..frames import Camera, Clip, NoFramesError
from .freshness import doubt_of, messages_since
from .query import Query, Status


class RefusedError(Exception):
    """The cameras show nothing that the question could be answered from; `status` and `message` say why."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def cut_clips(
    query: Query, cameras: Mapping[str, Camera], now_ns: int, max_age_ns: int, frozen_after_ns: int
) -> tuple[Clip, ...]:
    """Cut the clips for a query, one per camera.

    Age and frozen pictures are judged only for clips that end now; a past time range is used as recorded.

    Args:
        query: The query.
        cameras: All cameras by name.
        now_ns: The clock that the frames' stamps belong to.
        max_age_ns: A camera whose newest frame is older is stale; so is one whose newest frame lies in the future.
        frozen_after_ns: A camera with an identical picture for that long is frozen; 0 switches the test off.

    Raises:
        RefusedError: A camera is stale, frozen or has no frame in the range: the answer would be a guess.
    """
    clips = []
    for name in query.cameras:
        camera = cameras[name]
        if query.range_ns is None:
            # Before the clip is cut: frames that come in between can only make it newer than what was judged.
            doubt = doubt_of(camera, now_ns, max_age_ns, frozen_after_ns)
            if doubt is not None:
                raise RefusedError(doubt.status, f"camera {name!r}: {doubt.reason}")
        try:
            clips.append(_cut(query, camera))
        except NoFramesError as error:
            # Where frames are buffered, the error says which; where there are none, the messages say why.
            cause = messages_since(camera) if camera.buffered[0] == 0 else ""
            raise RefusedError(Status.NO_FRAMES, f"{error}{cause}") from None
    return tuple(clips)


def _cut(query: Query, camera: Camera) -> Clip:
    if query.range_ns is not None:
        return camera.clip(*query.range_ns, query.max_frames)
    if query.window_ns is not None:
        return camera.recent_clip(query.window_ns, query.max_frames)
    return camera.growing_clip()
