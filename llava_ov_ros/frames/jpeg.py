"""Decodes JPEG and detects damage, since libjpeg continues after damage and only prints a warning.

Pillow's decoder takes data piece by piece and asks for more until the picture is complete. The amount that it asked for
tells whether the codes end where the data end; no second decode is needed.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin

JPEG_MAGIC = b"\xff\xd8\xff"

_END_OF_IMAGE = b"\xff\xd9"
_SCAN = b"\xff\xda"
_START_OF_SCAN, _RESTART_INTERVAL = 0xDA, 0xDD
# Frame headers carry the size; C4, C8 and CC in their range are something else (ITU-T T.81, table B.1).
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL_HUFFMAN = frozenset({0xC0, 0xC1})
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")
# libjpeg-turbo fills a register of 64 bits before it decodes a code, so it asks for up to 8 bytes more than it needs.
# The padding is all ones: T.81 fills the last byte with ones (F.1.2.3), and no code consists of ones only.
_PADDING = b"\xff\x00" * 8


@dataclass(frozen=True)
class JpegHeader:
    """The header of a JPEG.

    Attributes:
        width: Pixels of a row.
        height: Rows.
        scan: Offset of the first scan in the data.
        is_sequential: Whether the JPEG is sequential with Huffman codes; not progressive, lossless or arithmetic.
        has_restarts: Whether restart markers stand between the codes.
    """

    width: int
    height: int
    scan: int
    is_sequential: bool
    has_restarts: bool


@dataclass(frozen=True)
class Jpeg:
    """A decoded JPEG.

    Attributes:
        pixels: uint8, (height, width) grey or (height, width, 3).
        is_rgb: Whether three channels are in the order RGB; else BGR.
        damage: Description of the damage; empty if none was found.
    """

    pixels: npt.NDArray[Any]
    is_rgb: bool
    damage: str


def read_jpeg_header(payload: bytes) -> JpegHeader:
    """Reads the markers up to the first scan.

    Raises:
        ValueError: The data have no scan, or no frame header before it.
        struct.error: The data end within a marker.
    """
    size = None
    is_sequential, interval = False, 0
    position = 2
    while True:
        position = payload.find(b"\xff", position)
        if position < 0:
            raise ValueError(f"the {len(payload)} bytes of JPEG data hold no picture")
        marker, length = struct.unpack_from(">BH", payload, position + 1)
        if marker == 0xFF:
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker == _START_OF_SCAN:
            break
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", payload, position + 5)
            size, is_sequential = (width, height), marker in _SEQUENTIAL_HUFFMAN
        elif marker == _RESTART_INTERVAL:
            (interval,) = struct.unpack_from(">H", payload, position + 4)
        position += 2 + length
    if size is None:
        raise ValueError("the JPEG has no frame header before its pixels")
    return JpegHeader(*size, position, is_sequential, interval > 0)


def decode_jpeg(payload: bytes) -> Jpeg:
    """Decodes a JPEG, even if it is damaged, and reports the damage.

    In every JPEG a missing end-of-image marker is detected. In a JPEG of one scan of Huffman codes, the form that
    cameras send, two more faults are detected: codes that end before the picture is complete, or 8 bytes or more before
    the data end (after lost bytes, or a changed bit that later codes depend on); and restart markers out of order. Not
    detected are a changed bit after which the codes continue as before, damage between two restart markers, and damage
    in a progressive JPEG that has its end.

    Args:
        payload: A whole file that `read_jpeg_header` accepts.

    Raises:
        ValueError: No picture can be decoded.
    """
    header = read_jpeg_header(payload)
    scan_bytes = header.scan + 2
    first_end = payload.find(_END_OF_IMAGE, scan_bytes)
    next_scan = payload.find(_SCAN, scan_bytes)
    is_checked = header.is_sequential and (next_scan < 0 or 0 <= first_end < next_scan)
    # The search starts at the scan since a thumbnail in the header has an end marker of its own. With several scans
    # the last marker counts, since the tables between scans may hold any bytes.
    end = first_end if is_checked else payload.rfind(_END_OF_IMAGE, scan_bytes)
    damage = "" if end >= 0 else f"the JPEG is cut off: its {len(payload)} bytes have no end-of-image marker"
    end = end if end >= 0 else len(payload)
    if not damage and header.has_restarts and is_checked and not _restarts_in_order(payload[scan_bytes:end]):
        damage = "the JPEG is damaged: its restart markers are not in order"
    found = _by_pillow(payload, end, is_checked)
    if found is None:
        pixels = cv2.imdecode(np.frombuffer(payload[:end] + _END_OF_IMAGE, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise ValueError(damage or f"the {len(payload)} bytes of JPEG data are damaged or cut off")
        return Jpeg(pixels, False, damage)
    return Jpeg(found.pixels, True, damage or found.damage)


def _by_pillow(payload: bytes, end: int, is_checked: bool) -> Jpeg | None:
    """Decode with Pillow; None if Pillow cannot, or for colour spaces that OpenCV converts (CMYK).

    Args:
        payload: A whole file.
        end: Offset where the end-of-image marker is or should be.
        is_checked: Whether to report damage if the codes do not end there.
    """
    codes_end = len(payload[:end].rstrip(b"\xff"))
    if is_checked:
        data = payload[:codes_end] + _PADDING + _END_OF_IMAGE
        pieces = _Pieces(data, (codes_end - 1, codes_end + len(_PADDING)))
    else:
        pieces = _Pieces(payload[:end] + _END_OF_IMAGE, ())
    damage = ""
    try:
        file = JpegImagePlugin.JpegImageFile(pieces)
        if file.mode not in ("L", "RGB"):
            return None
        # Feed each piece to the decoder at once.
        file.decodermaxblock = len(payload)
        file.load()
    except (OSError, SyntaxError, ValueError, IndexError, KeyError, struct.error):
        return None
    if is_checked and pieces.tell() <= codes_end - 1:
        damage = "the JPEG is damaged: its picture is complete before its data end"
    elif is_checked and pieces.tell() > codes_end + len(_PADDING):
        damage = "the JPEG is damaged: its data end before its picture is complete"
    return Jpeg(np.asarray(file), True, damage)


class _Pieces(io.BytesIO):
    """A file that never returns bytes from both sides of a cut in one read."""

    def __init__(self, data: bytes, cuts: tuple[int, ...]) -> None:
        super().__init__(data)
        self._cuts = cuts

    def read(self, size: int | None = -1, /) -> bytes:
        position = self.tell()
        left = [cut - position for cut in self._cuts if cut > position]
        if left and (size is None or size < 0 or size > left[0]):
            size = left[0]
        return super().read(size)


def _restarts_in_order(codes: bytes) -> bool:
    """Whether the restart markers count from 0 to 7 and begin again."""
    return all(marker[0] == 0xD0 + number % 8 for number, marker in enumerate(_RESTARTS.findall(codes)))
