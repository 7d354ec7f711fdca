"""The data that other layers get from a camera: a decoded frame, and a clip of frames of one camera."""

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
    """A picture that is rendered from stored values on each access, to save memory."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of the stored values."""
        ...

    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3); equal on each call."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded camera picture.

    Attributes:
        camera: The camera's name, as questions use it.
        stamp_ns: The frame's time in integer nanoseconds: `header.stamp` of the message, or its time of arrival.
        frame_id: `header.frame_id` of the message.
        picture: The picture, uint8 (height, width, 3), or stored values that render it.
        header_stamp_ns: `header.stamp` of the message if it differs from the frame's time, else None.
        value_range: Stored values that are shown darkest and brightest; None if the picture has 8 bits per channel, or
            if its values do not differ.
        blank: A description of the one grey level or colour of a blank picture; empty for all other pictures.
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
    """Frames of one camera, oldest first; never empty.

    Raises:
        ValueError: There is no frame.
    """

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
    """Stamp in nanoseconds and coordinate frame of a message.

    Both come from the header; the messages of foxglove_msgs have the fields `timestamp` and `frame_id` instead.
    """
    header = getattr(message, "header", None)
    if header is None:
        return stamp_ns(message.timestamp), str(message.frame_id)
    return stamp_ns(header.stamp), str(header.frame_id)
