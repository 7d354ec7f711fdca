"""The beginning of a serialised message, beside what rosbags reads of the whole message."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from llava_ov_ros.frames import SINGLE_PICTURE_TYPES, read_head
from llava_ov_ros.message_types import COMPRESSED_IMAGE, FOXGLOVE_COMPRESSED_IMAGE, FOXGLOVE_RAW_IMAGE, IMAGE
from llava_ov_ros.replay.definitions import DEFINITIONS

STORE = get_typestore(Stores.ROS2_JAZZY)
for _kind in (FOXGLOVE_COMPRESSED_IMAGE, FOXGLOVE_RAW_IMAGE):
    STORE.register(get_types_from_msg(DEFINITIONS[_kind], _kind))
TYPES = STORE.types
WITH_FORMAT = (COMPRESSED_IMAGE, FOXGLOVE_COMPRESSED_IMAGE)
PICTURES = ("jpeg", "png", "", "rgb8; jpeg compressed bgr8", "16UC1; compressedDepth png")
VIDEOS = ("h264", "hevc", "x265", "vp9", "av1")
"""Formats of video; the node refuses the last two by name, and must see the message for that."""
PLAIN_CDR2 = {True: b"\x00\x07", False: b"\x00\x06"}


def message(kind: str, seconds: int, nanoseconds: int, frame_id: str, text: str, data: bytes) -> Any:
    """A message of rosbags, with the format where its type has one."""
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    octets = np.frombuffer(data, dtype=np.uint8)
    head: dict[str, Any] = {"header": TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)}
    if kind.startswith("foxglove"):
        head = {"timestamp": stamp, "frame_id": frame_id}
    if kind in WITH_FORMAT:
        return TYPES[kind](**head, format=text, data=octets)
    size = {"height": 1, "width": len(data), "encoding": "mono8", "step": len(data)}
    order = {"is_bigendian": 0} if kind == IMAGE else {}
    return TYPES[kind](**head, **size, **order, data=octets)


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize("kind", SINGLE_PICTURE_TYPES)
def test_stamp_and_format_are_those_of_the_whole_message(kind: str, little_endian: bool) -> None:
    random = np.random.default_rng(7)
    for number in range(200):
        seconds, nanoseconds = int(random.integers(-(2**31), 2**31)), int(random.integers(0, 2**32))
        # Texts of every length, so that padding of every length follows.
        frame_id = "".join(random.choice(list("aé_深"), number % 9))
        text = (PICTURES + VIDEOS)[number % len(PICTURES + VIDEOS)]
        data = random.bytes(number % 13)
        made = message(kind, seconds, nanoseconds, frame_id, text, data)
        raw = bytes(STORE.serialize_cdr(made, kind, little_endian=little_endian))
        whole: Any = STORE.deserialize_cdr(raw, kind)
        stamp = whole.timestamp if kind.startswith("foxglove") else whole.header.stamp
        for written in (raw, PLAIN_CDR2[little_endian] + raw[2:]):
            head = read_head(kind, written)
            assert head is not None
            assert head.stamp_ns == stamp.sec * 10**9 + stamp.nanosec
            assert head.is_single_picture == (kind not in WITH_FORMAT or whole.format in PICTURES)


@pytest.mark.parametrize("kind", SINGLE_PICTURE_TYPES)
def test_a_message_that_is_cut_off_says_nothing_that_it_does_not_hold(kind: str) -> None:
    raw = bytes(STORE.serialize_cdr(message(kind, 5, 6, "camera", "h264", b"0123456789"), kind))
    whole = read_head(kind, raw)
    for end in range(len(raw)):
        head = read_head(kind, raw[:end])
        # Never a video as a picture.
        assert head is None or head == whole
    assert read_head(kind, raw[:11]) is None


@pytest.mark.parametrize("kind", SINGLE_PICTURE_TYPES)
def test_of_another_encapsulation_nothing_is_read(kind: str) -> None:
    raw = bytes(STORE.serialize_cdr(message(kind, 5, 6, "camera", "jpeg", b"0123"), kind))
    for number in {*range(2**16)} - {0, 1, 6, 7}:
        assert read_head(kind, struct.pack(">H", number) + raw[2:]) is None


@pytest.mark.parametrize("kind", WITH_FORMAT)
def test_lengths_behind_the_end_and_texts_that_are_none_are_not_read(kind: str) -> None:
    raw = bytearray(STORE.serialize_cdr(message(kind, 5, 6, "", "jpeg", b""), kind))
    # The coordinate frame, a zero byte, begins at 16; the format's text ends the message, or is followed by no data.
    for length in (2, 2**31 - 1, 2**31, 2**32 - 1):
        hostile = bytearray(raw)
        struct.pack_into("<I", hostile, 12, len(raw) + length if length < 2**31 else length)
        assert read_head(kind, bytes(hostile)) is None
    at = raw.index(b"jpeg")
    raw[at : at + 4] = b"\xff\xfe\xff\xfe"
    assert read_head(kind, bytes(raw)) is None


@pytest.mark.parametrize("kind", SINGLE_PICTURE_TYPES)
def test_noise_is_read_without_an_error(kind: str) -> None:
    random = np.random.default_rng(11)
    for _ in range(3000):
        body = random.bytes(int(random.integers(0, 64)))
        head = read_head(kind, b"\x00\x01\x00\x00" + body)
        if len(body) >= 8 and head is not None:
            assert head.stamp_ns == int.from_bytes(body[:4], "little", signed=True) * 10**9 + int.from_bytes(
                body[4:8], "little"
            )
