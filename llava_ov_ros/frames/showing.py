"""Renders stored values as grey pictures; with an automatic range, all frames of a clip share the clip's range."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

from ..settings.value_range import AUTO, DEFAULT, ValueRange, given_range
from .automatic_range import Spread, automatic_range, steady_range
from .frame import Clip, Frame, Rgb
from .values import Values, blank_picture, blank_values, show, spread_of

_MOST_RANGES = 4


@dataclass(frozen=True, eq=False)
class Rendering:
    """Stored values and the range in which they are shown; the picture is rendered on each access.

    Attributes:
        values: The values that the camera measured.
        spread: The spread of all measurements; None if there are none.
        value_range: The range of values that is shown; None renders a black picture.
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
        """Bytes of the stored values."""
        return self.values.stored.nbytes

    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3), read-only."""
        return self.rgb_in(self.value_range)

    def rgb_in(self, value_range: ValueRange | None) -> Rgb:
        """The picture in another range, uint8 (height, width, 3), read-only."""
        rgb = show(self.values, value_range)
        rgb.flags.writeable = False
        return rgb


@dataclass(frozen=True, eq=False)
class Shown:
    """A decoded picture as a camera keeps it.

    Attributes:
        picture: uint8 (height, width, 3); with an automatic range the values, which the clip renders in its own range.
        value_range: Stored values that are shown darkest and brightest; None if the picture has 8 bits per channel, or
            if its values do not differ.
        blank: A description of the one grey level or colour of a blank picture; empty for all other pictures.
    """

    picture: Rgb | Rendering
    value_range: ValueRange | None = None
    blank: str = ""

    @property
    def rgb(self) -> Rgb:
        """The picture, uint8 (height, width, 3); stored values are shown in the picture's own range."""
        return self.picture.rgb() if isinstance(self.picture, Rendering) else self.picture


def first_shown(picture: Rgb | Values, value_range: str, before: ValueRange | None = None) -> Shown:
    """Show a picture that was just decoded, before it is part of a clip.

    Args:
        picture: uint8 (height, width, 3), or stored values.
        value_range: `default`, `auto` or two numbers; applies to stored values only.
        before: Range of the previous picture; an automatic range keeps it if it still fits.
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
    """The range in which all frames of a clip are shown: that of its first frame that has one.

    The range does not change while the clip grows, and it depends on nothing but the frames.
    """
    return next((frame.value_range for frame in clip.frames if frame.value_range is not None), None)


class ClipShowing:
    """Shows each frame of a clip in the clip's range of values.

    The same frame in the same range is the same object each time, as long as the frame is buffered, so that the
    engine's cache of encoded frames recognises it.

    Attributes:
        anew: How often a frame entered a clip with another range than before, and so must be encoded again.
    """

    def __init__(self) -> None:
        self._shown: weakref.WeakKeyDictionary[Frame, dict[ValueRange | None, Frame]] = weakref.WeakKeyDictionary()
        self.anew = 0

    def of(self, clip: Clip) -> Clip:
        """The clip with all its frames shown in the clip's range."""
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
