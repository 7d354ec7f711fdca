"""Reads the beginning of a serialised message: enough to pass a message over without deserialising the rest.

Layout: OMG DDS-XTypes 1.3, 7.4 (plain CDR and plain CDR2) and 7.6.3.1.2 (the encapsulation in the first four bytes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from types import SimpleNamespace

from ..message_types import COMPRESSED_IMAGE, FOXGLOVE_COMPRESSED_IMAGE, FOXGLOVE_RAW_IMAGE, IMAGE
from .frame import NS_PER_S
from .video import video_codec

SINGLE_PICTURE_TYPES = (IMAGE, COMPRESSED_IMAGE, FOXGLOVE_COMPRESSED_IMAGE, FOXGLOVE_RAW_IMAGE)
"""The message types whose messages may be single pictures; all of them begin with a stamp and a coordinate frame."""
# Byte order by encapsulation: CDR_BE, CDR_LE, PLAIN_CDR2_BE, PLAIN_CDR2_LE. In the others (parameter lists, delimited)
# a message does not begin with its first field.
_BYTE_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<", b"\x00\x06": ">", b"\x00\x07": "<"}
_BODY = 4
_ALIGNMENT = 4


@dataclass(frozen=True)
class MessageHead:
    """The beginning of a serialised message.

    Attributes:
        stamp_ns: `header.stamp` (foxglove_msgs: `timestamp`) in nanoseconds.
        is_single_picture: Whether the message certainly is no video, so that no other picture depends on it.
    """

    stamp_ns: int
    is_single_picture: bool


def read_head(kind: str, data: bytes) -> MessageHead | None:
    """Read the beginning of a serialised message.

    Args:
        kind: Type of the message, one of `SINGLE_PICTURE_TYPES`.
        data: The serialised message, from anybody: nothing of it is trusted.

    Returns:
        The stamp that the deserialised message would have, and whether the message is a single picture. None if the
        beginning cannot be read: it is too short, its encapsulation is another one, or a text is not UTF-8.
    """
    order = _BYTE_ORDERS.get(data[:2])
    try:
        if order is None:
            return None
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, _BODY)
        stamp_ns = seconds * NS_PER_S + nanoseconds
        if kind in (IMAGE, FOXGLOVE_RAW_IMAGE):
            return MessageHead(stamp_ns, is_single_picture=True)
        # The format follows the coordinate frame, with foxglove_msgs the coordinate frame and the data.
        _, at = _sequence(order, data, _BODY + 8)
        if kind == FOXGLOVE_COMPRESSED_IMAGE:
            _, at = _sequence(order, data, at)
        start, end = _sequence(order, data, at)
        return MessageHead(stamp_ns, _is_single_picture(data[start:end]))
    except (struct.error, ValueError):
        return None


def _sequence(order: str, data: bytes, at: int) -> tuple[int, int]:
    """Return where the bytes of a text or a sequence of bytes begin and end.

    Args:
        order: Byte order, `<` or `>`.
        data: The serialised message.
        at: Where the field before the text or sequence ends.

    Raises:
        struct.error: The length lies behind the end of the message.
        ValueError: The bytes do not fit into the message.
    """
    # Counted from the body's first byte or from the message's, this is the same.
    at += -at % _ALIGNMENT
    (length,) = struct.unpack_from(f"{order}I", data, at)
    start, end = at + 4, at + 4 + length
    if end > len(data):
        raise ValueError(f"{length} bytes from {start} on do not fit into a message of {len(data)} bytes")
    return start, end


def _is_single_picture(text: bytes) -> bool:
    """Whether a format, with the zero byte behind it, names no video.

    Raises:
        UnicodeDecodeError: The format is not UTF-8.
    """
    # rosidl's texts of C end at the first zero byte.
    named = SimpleNamespace(format=text.partition(b"\0")[0].decode())
    try:
        return video_codec(named) is None
    except ValueError:
        return False
