"""The growing clip: its first frame stays until it is full, so that a model's keys and values stay valid."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import DEFAULTS, nanoseconds
from .frame import Clip, Frame

_WINDOW_NS = nanoseconds(DEFAULTS.clip_window_s)
_SPACING_NS = nanoseconds(DEFAULTS.clip_spacing_s)


@dataclass(frozen=True)
class GrowthSettings:
    """Length, window and spacing of a growing clip, which decide when the clip re-anchors.

    A clip that re-anchors begins anew with its newest frames. The defaults are those of the parameters `clip_*`.

    Attributes:
        max_frames: Most frames of the clip. A clip that would become longer re-anchors.
        min_frames: Number of newest frames with which a re-anchored clip begins.
        window_ns: A clip whose first frame is older than its newest by more than this re-anchors, too.
        spacing_ns: Least distance of two frames that stay in the clip. A frame that follows sooner stands at the clip's
            end only until the next frame arrives. With 0 every frame stays.

    Raises:
        ValueError: `min_frames` is not from 1 to `max_frames`, or a time is negative.
    """

    max_frames: int = DEFAULTS.clip_frames
    min_frames: int = DEFAULTS.clip_min_frames
    window_ns: int = _WINDOW_NS
    spacing_ns: int = _SPACING_NS

    def __post_init__(self) -> None:
        if not 1 <= self.min_frames <= self.max_frames:
            raise ValueError(
                f"min_frames {self.min_frames} and max_frames {self.max_frames} must be 1 <= min_frames <= max_frames"
            )
        for name in ("window_ns", "spacing_ns"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or more")


class GrowingClip:
    """The newest frames of one camera. Each new frame is appended; the first frame changes rarely.

    A sliding window would change its first frame with every new frame, and so invalidate the keys and values of all
    later frames. Here the first frame, the anchor, stays until the clip is full.
    """

    def __init__(self, camera: str, settings: GrowthSettings) -> None:
        self._camera = camera
        self._settings = settings
        self._frames: list[Frame] = []
        self._newest: Frame | None = None
        self._spacing_ns = settings.spacing_ns if settings.max_frames > 1 else 0
        # With a spacing, one place is reserved for a newest frame that does not stay.
        self._most = settings.max_frames - (self._spacing_ns > 0)
        self._least = min(settings.min_frames, self._most)

    def add(self, frame: Frame, oldest_ns: int) -> None:
        """Add the newest frame.

        Args:
            frame: A frame that is newer than all before.
            oldest_ns: Stamp of the oldest frame in the camera's buffer; older frames are dropped here, too.
        """
        self._newest = frame
        frames = self._frames
        if not frames or frame.stamp_ns - frames[-1].stamp_ns >= self._spacing_ns:
            frames = [*frames, frame]
        oldest_ns = max(oldest_ns, frame.stamp_ns - self._settings.window_ns)
        if len(frames) > self._most or frames[0].stamp_ns < oldest_ns:
            frames = [kept for kept in frames[-self._least :] if kept.stamp_ns >= oldest_ns]
        self._frames = frames

    def clear(self) -> None:
        """Forget all frames."""
        self._frames = []
        self._newest = None

    @property
    def current(self) -> Clip | None:
        """The clip, always with the newest frame at its end; None if there is no frame."""
        if self._newest is None:
            return None
        stays = bool(self._frames) and self._frames[-1] is self._newest
        return Clip(self._camera, tuple(self._frames if stays else [*self._frames, self._newest]))

    @property
    def coming(self) -> Clip | None:
        """The present frames that the clip will begin with after it has re-anchored; None if there are none yet.

        An idle model may prefill them ahead, so that re-anchoring costs no time.
        """
        frames = self._frames[self._most + 1 - self._least :]
        return Clip(self._camera, tuple(frames)) if frames else None
