"""What the other layers see of a camera: a decoded frame, and a clip of frames from one camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..settings.value_range import ValueRange

Rgb = npt.NDArray[np.uint8]
"""A picture: uint8, shape (height, width, 3), red first."""

NS_PER_S = 1_000_000_000


class Rendered(Protocol):
    """A picture that is made each time it is looked at, from values that are kept in its place."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        ...

    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3); the same each time."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded camera picture.

    Attributes:
        camera: The camera's name, as questions use it.
        stamp_ns: The frame's time in integer nanoseconds: `header.stamp` of the message, or when it arrived.
        frame_id: `header.frame_id` of the message.
        picture: The picture, uint8 (height, width, 3), or what makes it.
        header_stamp_ns: `header.stamp` of the message where the frame's time is another; None: it is the frame's time.
        value_range: Stored values that are shown darkest and brightest; None: the picture stores none of more than 8
            bits, or there is nothing to see in them.
        blank: Its one grey level in words, where it shows no more; else empty.
    """

    camera: str
    stamp_ns: int
    frame_id: str
    picture: Rgb | Rendered
    header_stamp_ns: int | None = None
    value_range: ValueRange | None = None
    blank: str = ""

    @property
    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3)."""
        return self.picture if isinstance(self.picture, np.ndarray) else self.picture.rgb()


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one camera, oldest first; never empty."""

    camera: str
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError(f"a clip of camera {self.camera!r} needs at least one frame")

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest frame in nanoseconds."""
        return self.frames[-1].stamp_ns


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time, exact (no float is involved)."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def stamp_and_frame(message: Any) -> tuple[int, str]:
    """Stamp in nanoseconds and coordinate frame of a message: of its header, or its own where it has none.

    The messages of foxglove_msgs have `timestamp` and `frame_id` instead of a header.
    """
    header = getattr(message, "header", None)
    if header is None:
        return stamp_ns(message.timestamp), str(message.frame_id)
    return stamp_ns(header.stamp), str(header.frame_id)
