"""What a camera's owner chooses about decoding: rotation, the range of values shown, the size and damage refused."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ..settings import DEFAULTS
from ..settings.choices import ON_DAMAGED, ROTATIONS_DEG
from ..settings.value_range import DEFAULT, check_value_range

RECORDED_PIXELS = 8192 * 8192
"""Most pixels of a picture of a recording. More than the node's default max_image_pixels: a recording is the user's
own, so that a large picture in it is no attack."""

PIXELS_WITHOUT_PROOF = 4096 * 4096
"""A picture of one colour may be stored in a few bytes, whatever its size: up to this size that is believed."""

MOST_SIDES_RATIO = 32
"""Longer sides against shorter ones. No picture of a scene is narrower, and whoever makes a square of one or scales
its shorter side up to a fixed width takes memory and time for the longer side alone."""

PIXELS_PER_BYTE = 1032
"""Deflate makes at most 1032 bytes of one (zlib's technical details), so no PNG of whole bytes has more pixels."""


@dataclass(frozen=True)
class DecodeOptions:
    """How the pictures of one camera are decoded.

    Attributes:
        rotate_deg: Clockwise turn of the decoded picture: 0, 90, 180 or 270.
        value_range: Which values of pictures of one channel with more than 8 bits are shown darkest and brightest:
            `default`, `auto` or two numbers such as `0..4095`.
        max_pixels: Most pixels (width * height) that a message may have.
        on_damaged: What becomes of a picture that can be decoded and of which parts are damaged: `refuse` or `use`.

    Raises:
        ValueError: A value is outside its range; the text names it.
    """

    rotate_deg: int = 0
    value_range: str = DEFAULT
    max_pixels: int = RECORDED_PIXELS
    on_damaged: str = DEFAULTS.on_damaged

    def __post_init__(self) -> None:
        if self.rotate_deg not in ROTATIONS_DEG:
            raise ValueError(f"rotate_deg must be 0, 90, 180 or 270, not {self.rotate_deg}")
        check_value_range(self.value_range)
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, not {self.max_pixels}")
        if self.on_damaged not in ON_DAMAGED:
            raise ValueError(f"on_damaged must be {' or '.join(ON_DAMAGED)}, not {self.on_damaged!r}")


LARGE_PIXELS = 2048 * 2048
_ONE_LARGE = threading.Lock()


def one_large_at_a_time(width: int, height: int) -> AbstractContextManager[Any]:
    """Held while a picture is decompressed: of the cameras' threads only one at a time has a large one in work.

    Args:
        width: Pixels of a row.
        height: Rows; a picture of more than `LARGE_PIXELS` is large.
    """
    return _ONE_LARGE if width * height > LARGE_PIXELS else nullcontext()


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses a size in pixels before anything of that size is allocated.

    Raises:
        ValueError: There is no pixel, there are more than `max_pixels`, or the sides differ by more than
            `MOST_SIDES_RATIO` times.
    """
    if width < 1 or height < 1:
        raise ValueError(f"size is {width}x{height}: a picture needs at least one pixel")
    if width * height > max_pixels:
        raise ValueError(
            f"size is {width}x{height} = {width * height} pixels, more than {max_pixels} (max_image_pixels)"
        )
    if max(width, height) > MOST_SIDES_RATIO * min(width, height):
        raise ValueError(
            f"size is {width}x{height}: one side is more than {MOST_SIDES_RATIO} times the other, as of no camera's "
            "picture"
        )


def check_claim(width: int, height: int, data_bytes: int) -> None:
    """Refuses compressed data that are too few for the size that they declare, before anything of it is allocated.

    A run-length code stores any number of equal pixels in a few bytes, so a few bytes can ask for any memory.

    Args:
        width: Declared pixels of a row.
        height: Declared rows.
        data_bytes: Length of the compressed data.

    Raises:
        ValueError: There are more than `PIXELS_WITHOUT_PROOF` pixels, and more than `PIXELS_PER_BYTE` for a byte.
    """
    pixels = width * height
    if pixels > PIXELS_WITHOUT_PROOF and pixels > PIXELS_PER_BYTE * data_bytes:
        raise ValueError(
            f"size is {width}x{height} = {pixels} pixels, but there are only {data_bytes} bytes of data: above "
            f"{PIXELS_WITHOUT_PROOF} pixels each byte may stand for at most {PIXELS_PER_BYTE}"
        )
