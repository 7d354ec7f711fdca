"""Frames as a clip shows them: of a camera whose range is found by itself, the clip decides which gray levels."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

from ..settings.value_range import AUTO, DEFAULT, ValueRange, given_range
from .frame import Clip, Frame, Rgb
from .value_range import Spread, automatic_range, steady_range
from .values import Values, blank_picture, blank_values, show, spread_of

_MOST_RANGES = 4


@dataclass(frozen=True, eq=False)
class Rendering:
    """Values and a range in which they are shown; the picture itself is made each time it is looked at.

    Attributes:
        values: As the camera measured them.
        spread: Of all that is measured.
        value_range: Shown; None: black.
    """

    values: Values
    spread: Spread | None
    value_range: ValueRange | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and 3."""
        height, width = self.values.stored.shape
        return height, width, 3

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return self.values.stored.nbytes

    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3), read-only."""
        return self.rgb_in(self.value_range)

    def rgb_in(self, value_range: ValueRange | None) -> Rgb:
        """The picture in another range."""
        rgb = show(self.values, value_range)
        rgb.flags.writeable = False
        return rgb


@dataclass(frozen=True, eq=False)
class Shown:
    """A decoded picture as a camera keeps it.

    Attributes:
        picture: uint8 (height, width, 3), or values with their own range where the clip decides.
        value_range: What is shown darkest and brightest; None: not known, or the picture stores no such values.
        blank: Its one grey level in words, where it has no more; else empty.
    """

    picture: Rgb | Rendering
    value_range: ValueRange | None = None
    blank: str = ""

    @property
    def rgb(self) -> Rgb:
        """The picture, of values in their own range."""
        return self.picture.rgb() if isinstance(self.picture, Rendering) else self.picture


def first_shown(picture: Rgb | Values, value_range: str, before: ValueRange | None = None) -> Shown:
    """A picture as it has just been decoded.

    Args:
        picture: Gray levels and colours as they are, or values.
        value_range: default, auto or two numbers; it is for values only.
        before: The range of the picture before, which an automatic one keeps where it still fits.
    """
    if not isinstance(picture, Values):
        return Shown(picture, blank=blank_picture(picture))
    if value_range == AUTO:
        spread = spread_of(picture)
        found = automatic_range(spread, is_depth=picture.is_depth, step=picture.step)
        own = steady_range(before, found)
        return Shown(Rendering(picture, spread, own), own, blank_values(spread, own, is_depth=picture.is_depth))
    fixed = picture.meaning.value if value_range == DEFAULT else given_range(value_range)
    rgb = show(picture, fixed)
    rgb.flags.writeable = False
    return Shown(rgb, fixed, blank_values(spread_of(picture, fixed), fixed, is_depth=picture.is_depth))


def range_of(clip: Clip) -> ValueRange | None:
    """The range in which a clip's frames are shown alike: that of the first of them that shows anything.

    It does not change while the clip grows, and it depends on nothing but the frames.
    """
    return next((frame.value_range for frame in clip.frames if frame.value_range is not None), None)


class ClipShowing:
    """Shows the frames of clips in the ranges of these clips.

    The same frame in the same range is the same object each time, as long as the frame is buffered: whoever has
    encoded it knows it again.

    Attributes:
        anew: How often a frame came into a clip with another range than before, and so has to be encoded anew.
    """

    def __init__(self) -> None:
        self._shown: weakref.WeakKeyDictionary[Frame, dict[ValueRange | None, Frame]] = weakref.WeakKeyDictionary()
        self.anew = 0

    def of(self, clip: Clip) -> Clip:
        """A clip whose frames are shown in its range."""
        if not any(isinstance(frame.picture, Rendering) for frame in clip.frames):
            return clip
        found = range_of(clip)
        return replace(clip, frames=tuple(self._frame(frame, found) for frame in clip.frames))

    def _frame(self, frame: Frame, value_range: ValueRange | None) -> Frame:
        picture = frame.picture
        if not isinstance(picture, Rendering):
            return frame
        known = self._shown.setdefault(frame, {})
        if value_range not in known:
            self.anew += bool(known)
            if len(known) == _MOST_RANGES:
                del known[next(iter(known))]
            known[value_range] = replace(
                frame,
                picture=replace(picture, value_range=value_range),
                value_range=value_range,
                blank=blank_values(picture.spread, value_range, is_depth=picture.values.is_depth),
            )
        return known[value_range]
