"""Pictures of one channel with more than 8 bits: their stored values, and how a range of them becomes gray levels.

REP 118: depth as 16UC1 is millimetres, as 32FC1 metres. mono16 is brightness.
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
from .frame import Rgb
from .value_range import Spread

_PIXELS_AT_A_TIME = 2**18
_MOST_SAMPLES = 2**20
_PERCENTILES = (1, 99)
_SHARE_SEEN = 0.01


class Meaning(Enum):
    """What the values of an encoding are, with the range that is shown by default."""

    BRIGHTNESS = ValueRange(0.0, 65535.0)
    """As cv_bridge converts mono16: times 255 / 65535."""
    MILLIMETRES = ValueRange(10_000.0, 300.0)
    METRES = ValueRange(10.0, 0.3)


@dataclass(frozen=True, eq=False)
class Values:
    """A picture as the camera measured it.

    Attributes:
        stored: uint16, int16 or float32, (height, width), C-contiguous.
        meaning: What the values are.
        convert: Makes float32 values of some rows of `stored`; None where they are the values.
    """

    stored: npt.NDArray[Any]
    meaning: Meaning
    convert: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]] | None = None

    @property
    def is_depth(self) -> bool:
        """Whether small values are shown bright, and 0 means that nothing was measured."""
        return self.meaning is not Meaning.BRIGHTNESS

    @property
    def step(self) -> float:
        """Least difference of two values that counts: a millimetre, or one."""
        return 0.001 if self.meaning is Meaning.METRES else 1.0

    def _of(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return rows if self.convert is None else self.convert(rows)

    def bands(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """The values some rows at a time, so that no array of the whole picture is made beside them."""
        height, width = self.stored.shape
        rows = max(1, _PIXELS_AT_A_TIME // width)
        for top in range(0, height, rows):
            yield slice(top, top + rows), self._of(self.stored[top : top + rows])

    def sample(self) -> npt.NDArray[Any]:
        """All values of up to 2**20 pixels; of a larger picture every n-th in each direction."""
        every = math.ceil(math.sqrt(self.stored.size / _MOST_SAMPLES))
        return self._of(self.stored[::every, ::every])


def spread_of(values: Values, value_range: ValueRange | None = None) -> Spread | None:
    """The 1st and 99th percentile (numpy.percentile) of what a picture measured; None where it measured nothing.

    Args:
        values: The picture.
        value_range: In which it is shown, which says what is a measurement; None: what is greater than 0.
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
    """Which values are measurements: none that is 0 or less (but where the range goes below), NaN or infinite."""
    if value_range is not None and value_range.goes_below_zero:
        finite: npt.NDArray[np.bool_] = np.isfinite(values)
        return finite
    positive: npt.NDArray[np.bool_] = (values > 0) & (values < np.inf)
    return positive


def show(values: Values, value_range: ValueRange | None) -> Rgb:
    """Shows values as gray: linear from 0 (of depth 1) at `black` and beyond to 255 at `white` and beyond, rounded.

    Pixels without a measurement are 0, a level that no measured pixel of a depth picture has.

    Args:
        values: The picture.
        value_range: Its values that are shown darkest and brightest; None: the picture is black.

    Returns:
        The gray picture, uint8 (height, width, 3) with three equal channels.
    """
    rgb: Rgb = np.zeros((*values.stored.shape, 3), dtype=np.uint8)
    if value_range is not None:
        for rows, band in values.bands():
            levels = _levels(band, value_range, values.is_depth)
            cv2.cvtColor(np.rint(levels, out=levels).astype(np.uint8), cv2.COLOR_GRAY2RGB, dst=rgb[rows])
    return rgb


def _levels(values: npt.NDArray[Any], value_range: ValueRange, is_depth: bool) -> npt.NDArray[np.float32]:
    """Gray levels, float32, not rounded yet."""
    ends = value_range.black, value_range.white
    levels = np.clip(values.astype(np.float32), min(ends), max(ends))
    levels -= np.float32(value_range.black)
    darkest = 1 if is_depth else 0
    levels *= np.float32((255 - darkest) / (value_range.white - value_range.black))
    levels += np.float32(darkest)
    np.copyto(levels, 0, where=~measured(values, value_range))
    return levels


LEAST_CONTRAST = 16
"""A picture with no more between its gray levels is as good as blank: 12 bits shown as 16 have so much."""


def blank_values(spread: Spread | None, value_range: ValueRange | None, *, is_depth: bool) -> str:
    """Why a picture of values shows next to nothing in a range; empty where it shows enough.

    Args:
        spread: What the picture holds.
        value_range: What is shown darkest and brightest; None: an automatic range that found nothing.
        is_depth: The darkest measurement is shown as 1.

    Returns:
        Its gray levels in words.
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
    """The one colour that a picture shows, in words; empty where it shows more.

    Args:
        rgb: uint8 (height, width, 3).
    """
    first = rgb[0, 0]
    # Nearly always the first row tells. Where none does, no array of the picture's size is made.
    rows = max(1, _PIXELS_AT_A_TIME // rgb.shape[1])
    if (rgb[0] != first).any() or any((rgb[top : top + rows] != first).any() for top in range(0, len(rgb), rows)):
        return ""
    red, green, blue = (int(level) for level in first)
    return f"one grey level ({red})" if red == green == blue else f"one colour ({red}, {green}, {blue})"
