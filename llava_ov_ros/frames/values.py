"""Pictures of one channel with more than 8 bits: their stored values, and the mapping of a range to grey levels.

REP 118: depth as 16UC1 is in millimetres, as 32FC1 in metres. mono16 is brightness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..settings.value_range import ValueRange
from .automatic_range import Spread
from .frame import Rgb

_PIXELS_AT_A_TIME = 2**18
_MOST_SAMPLES = 2**20
_PERCENTILES = (1, 99)
_SHARE_SEEN = 0.01


class Meaning(Enum):
    """The quantity and unit of an encoding's values; the enum's value is the range that is shown by default."""

    BRIGHTNESS = ValueRange(0.0, 65535.0)
    """As cv_bridge converts mono16: times 255 / 65535."""
    MILLIMETRES = ValueRange(10_000.0, 300.0)
    METRES = ValueRange(10.0, 0.3)


@dataclass(frozen=True, eq=False)
class Values:
    """The stored values of a picture, as the camera measured them.

    Attributes:
        stored: uint16, int16 or float32, (height, width), C-contiguous.
        meaning: Quantity and unit of the values.
        convert: Converts rows of `stored` to float32 values of that unit; None if `stored` holds them already.
    """

    stored: npt.NDArray[Any]
    meaning: Meaning
    convert: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth: small values are shown bright, and 0 means that nothing was measured."""
        return self.meaning is not Meaning.BRIGHTNESS

    @property
    def step(self) -> float:
        """Smallest difference of two values that counts: a millimetre for depth, else 1."""
        return 0.001 if self.meaning is Meaning.METRES else 1.0

    def _of(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return rows if self.convert is None else self.convert(rows)

    def bands(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """The values in bands of rows, so that no second array of the whole picture is made.

        Yields:
            The band's rows as a slice, and its values, (rows, width).
        """
        height, width = self.stored.shape
        rows = max(1, _PIXELS_AT_A_TIME // width)
        for top in range(0, height, rows):
            yield slice(top, top + rows), self._of(self.stored[top : top + rows])

    def sample(self) -> npt.NDArray[Any]:
        """A sample of the values, (rows, columns).

        Up to 2**20 pixels it has all values; of a larger picture it has every n-th value in each direction.
        """
        every = math.ceil(math.sqrt(self.stored.size / _MOST_SAMPLES))
        return self._of(self.stored[::every, ::every])


def spread_of(values: Values, value_range: ValueRange | None = None) -> Spread | None:
    """The 1st and 99th percentile (numpy.percentile) of a picture's measurements; None if there are none.

    Args:
        values: The picture.
        value_range: The range in which the picture is shown, for `measured`.
    """
    sample = values.sample()
    held = measured(sample, value_range)
    found = sample[held]
    if found.size == 0:
        return None
    low, high = (float(value) for value in np.percentile(found, _PERCENTILES))
    if low == high:
        low, high = float(found.min()), float(found.max())
    return Spread(low, high, has_gaps=found.size <= (1 - _SHARE_SEEN) * sample.size)


def measured(values: npt.NDArray[Any], value_range: ValueRange | None = None) -> npt.NDArray[np.bool_]:
    """Mask of the values that are measurements, of the same shape.

    NaN and infinite values are no measurements; nor are values of 0 or less, unless the range goes below zero.
    """
    if value_range is not None and value_range.goes_below_zero:
        finite: npt.NDArray[np.bool_] = np.isfinite(values)
        return finite
    positive: npt.NDArray[np.bool_] = (values > 0) & (values < np.inf)
    return positive


def show(values: Values, value_range: ValueRange | None) -> Rgb:
    """Render stored values as grey levels: linear from 0 (for depth 1) at `black` to 255 at `white`, rounded.

    Values beyond the range are clipped to it. Pixels without a measurement become 0, a level that no measured pixel of
    a depth picture has.

    Args:
        values: The picture.
        value_range: Stored values that are shown darkest and brightest; None renders a black picture.

    Returns:
        The grey picture, uint8 (height, width, 3) with three equal channels.
    """
    rgb: Rgb = np.zeros((*values.stored.shape, 3), dtype=np.uint8)
    if value_range is not None:
        for rows, band in values.bands():
            levels = _levels(band, value_range, values.is_depth)
            cv2.cvtColor(np.rint(levels, out=levels).astype(np.uint8), cv2.COLOR_GRAY2RGB, dst=rgb[rows])
    return rgb


def _levels(values: npt.NDArray[Any], value_range: ValueRange, is_depth: bool) -> npt.NDArray[np.float32]:
    """Grey levels, float32, not rounded yet."""
    ends = value_range.black, value_range.white
    levels = np.clip(values.astype(np.float32), min(ends), max(ends))
    levels -= np.float32(value_range.black)
    darkest = 1 if is_depth else 0
    levels *= np.float32((255 - darkest) / (value_range.white - value_range.black))
    levels += np.float32(darkest)
    np.copyto(levels, 0, where=~measured(values, value_range))
    return levels


LEAST_CONTRAST = 16
"""Grey levels between dark and bright up to which a picture counts as blank: 12 bits shown as 16 span 16 levels."""


def blank_values(spread: Spread | None, value_range: ValueRange | None, *, is_depth: bool) -> str:
    """Describe why a picture of stored values is as good as blank in a range; empty if it is not.

    Args:
        spread: Spread of the picture's measurements; None if there are none.
        value_range: Stored values that are shown darkest and brightest; None: the automatic range found no two
            different values.
        is_depth: Whether the values are depth, whose darkest measurement is shown as 1.

    Returns:
        The picture's grey levels and their cause.
    """
    if spread is None:
        nothing = "no pixel holds a measurement" if is_depth else "every pixel is 0"
        return f"one grey level (0): {nothing}"
    if value_range is None:
        return f"one grey level (0): every pixel that holds a measurement has the value {spread.low:g}"
    ends = np.array([[spread.low, spread.high]], dtype=np.float32)
    low, high = sorted(int(level) for level in np.rint(_levels(ends, value_range, is_depth))[0])
    if spread.has_gaps:
        low = 0
    if high - low > LEAST_CONTRAST:
        return ""
    found = f"one grey level ({low})" if low == high else f"almost one grey level ({low} to {high} of 0 to 255)"
    return f"{found}: its values {spread.low:g} to {spread.high:g} are shown in the range {value_range}"


def blank_picture(rgb: Rgb) -> str:
    """Describe the one colour of a picture; empty if the picture has more than one.

    Args:
        rgb: uint8 (height, width, 3).
    """
    first = rgb[0, 0]
    # The first row nearly always has two colours; the bands avoid an array of the whole picture's size.
    rows = max(1, _PIXELS_AT_A_TIME // rgb.shape[1])
    if (rgb[0] != first).any() or any((rgb[top : top + rows] != first).any() for top in range(0, len(rgb), rows)):
        return ""
    red, green, blue = (int(level) for level in first)
    return f"one grey level ({red})" if red == green == blue else f"one colour ({red}, {green}, {blue})"
