"""The options of decoding: rotation, range of values, size limit, damaged pictures; checks of sizes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ..settings import DEFAULTS
from ..settings.allowed_values import ON_DAMAGED, ROTATIONS_DEG
from ..settings.value_range import DEFAULT, check_value_range

RECORDED_PIXELS = 8192 * 8192
"""Most pixels of a picture of a recording. More than the node's default max_image_pixels: a recording is the user's
own, so that a large picture in it is no attack."""

PIXELS_WITHOUT_PROOF = 4096 * 4096
"""Most pixels that a few bytes may declare: a picture of one colour takes few bytes, whatever its size."""

MOST_SIDES_RATIO = 32
"""Largest ratio of the longer side to the shorter. No camera's picture is narrower, and code that pads a picture to a
square or scales its shorter side up to a fixed size would take memory and time for the longer side alone."""

PIXELS_PER_BYTE = 1032
"""Most pixels per byte of data: deflate expands one byte to at most 1032 (zlib's technical details)."""


@dataclass(frozen=True)
class DecodeOptions:
    """How the pictures of one camera are decoded.

    Attributes:
        rotate_deg: Clockwise turn of the decoded picture: 0, 90, 180 or 270.
        value_range: Stored values that are shown darkest and brightest, for pictures of one channel with more than 8
            bits: `default`, `auto` or two numbers such as `0..4095`.
        max_pixels: Most pixels (width * height) of a picture.
        on_damaged: Whether to `refuse` or `use` a picture that can be decoded although parts of it are damaged.

    Raises:
        ValueError: A value is outside its range; the message names it.
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
    """The lock to hold while a picture is decompressed, so that only one camera's thread decompresses a large one.

    Args:
        width: Pixels of a row.
        height: Rows. A picture of more than `LARGE_PIXELS` pixels is large; for others the lock does nothing.
    """
    return _ONE_LARGE if width * height > LARGE_PIXELS else nullcontext()


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check a declared size before memory is allocated for it.

    Raises:
        ValueError: The picture has no pixel, or more than `max_pixels`, or one side is more than `MOST_SIDES_RATIO`
            times the other.
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
    """Check that compressed data are long enough for the size that they declare, before memory is allocated.

    A run-length code stores any number of equal pixels in a few bytes, so a few bytes could demand any memory.

    Args:
        width: Declared pixels of a row.
        height: Declared rows.
        data_bytes: Length of the compressed data.

    Raises:
        ValueError: The picture has more than `PIXELS_WITHOUT_PROOF` pixels, and more than `PIXELS_PER_BYTE` per byte.
    """
    pixels = width * height
    if pixels > PIXELS_WITHOUT_PROOF and pixels > PIXELS_PER_BYTE * data_bytes:
        raise ValueError(
            f"size is {width}x{height} = {pixels} pixels, but there are only {data_bytes} bytes of data: above "
            f"{PIXELS_WITHOUT_PROOF} pixels each byte may stand for at most {PIXELS_PER_BYTE}"
        )
