"""Deserialises the bytes of a recorded message."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from .definitions import DEFINITIONS
from .storage import ROS1
from .zstandard import MAGIC, zstd

_CDR_HEADER = 4
_CDR_LITTLE_ENDIAN = (0, 1)


def decode_message(raw: bytes, kind: str, encoding: str) -> Any:
    """Deserialise a recorded message to a message of rosbags.

    The definition of the type comes from rosbags or from definitions.py, because bags before ROS 2 Iron embed none.
    Bytes after the message's end are ignored: the RealSense SDK writes 4 of them. A message that the recorder has
    compressed is decompressed, even if no metadata.yaml mentions the compression.

    Args:
        raw: Bytes of the message, perhaps compressed by Zstandard.
        kind: Full name of the message type, such as `sensor_msgs/msg/Image`.
        encoding: Serialisation of the message: cdr or ros1.

    Raises:
        ValueError: The bytes are not a message of this type; the text gives the reason.
    """
    try:
        if encoding == ROS1:
            return _ros1(raw, kind)
        return _cdr(decompressed(raw), kind)
    except Exception as error:  # noqa: BLE001 - rosbags lets through whatever its generated code raises
        raise ValueError(f"its {len(raw)} bytes are no {kind}: {error}") from None


def decompressed(raw: bytes) -> bytes:
    """The bytes of a message, decompressed where the recorder has compressed each message by Zstandard.

    Raises:
        Exception: Whatever the decompressor raises for damaged bytes.
    """
    return zstd.decompress(raw) if raw[: len(MAGIC)] == MAGIC else raw


def _ros1(raw: bytes, kind: str) -> Any:
    store = known_types(Stores.ROS1_NOETIC)
    definition = store.get_msgdef(kind)
    message, end = definition.deserialize_ros1(raw, 0, definition.cls, store)
    _check_end(end, len(raw))
    return message


def _cdr(raw: bytes, kind: str) -> Any:
    if len(raw) < _CDR_HEADER or raw[0] != 0 or raw[1] not in _CDR_LITTLE_ENDIAN:
        raise ValueError(f"they begin with {raw[:_CDR_HEADER].hex(' ')}, which is no CDR")
    store = known_types(Stores.LATEST)
    definition = store.get_msgdef(kind)
    deserialize = definition.deserialize_cdr_le if raw[1] else definition.deserialize_cdr_be
    message, end = deserialize(raw[_CDR_HEADER:], 0, definition.cls, store)
    _check_end(end, len(raw) - _CDR_HEADER)
    return message


def _check_end(end: int, size: int) -> None:
    if end > size:
        raise ValueError(f"they end {end - size} bytes early")


@cache
def known_types(store: Stores) -> Typestore:
    """The message types of a ROS release, and the public picture messages that rosbags does not define."""
    types = get_typestore(store)
    for kind, text in DEFINITIONS.items():
        types.register(get_types_from_msg(text, kind))
    return types
