"""Real recordings decode wholly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings, DecodeOptions, Outcome, decode

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def images(bag: Path) -> Iterator[tuple[str, int, Any]]:
    """Topic, record time and message of every image in a bag."""
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        connections = [connection for connection in reader.connections if connection.msgtype in IMAGES]
        for connection, record_ns, data in reader.messages(connections):
            yield connection.topic, record_ns, reader.deserialize(data, connection.msgtype)


def test_all_four_cameras_of_the_spot_recording(recordings) -> None:
    seen: dict[str, set[tuple[object, ...]]] = {}
    for topic, _, message in images(recordings / "spot_raw_mcap"):
        rgb = decode(message, topic, DecodeOptions())
        assert rgb.std() > 1, f"{topic} shows one colour only"
        seen.setdefault(topic, set()).add((message.encoding, *rgb.shape))
    assert seen == {
        "/spot/camera/frontleft/image": {("mono8", 480, 640, 3)},
        "/spot/camera/hand_color/image": {("rgb8", 480, 640, 3)},
        "/spot/camera/hand_mono/image": {("mono8", 171, 224, 3)},
        "/spot/depth/frontleft/image": {("16UC1", 240, 424, 3)},
    }


@pytest.mark.parametrize(
    ("name", "messages", "shape"),
    [("bottles_5hz_mcap", 200, (360, 640, 3)), ("box_5hz_mcap", 76, (480, 640, 3))],
)
def test_the_table_recordings_lose_no_frame_at_their_own_rate(name, messages, shape, recordings) -> None:
    camera = Camera("table", CameraSettings(admission=AdmissionSettings(rate_hz=5.0), buffer_frames=10_000))
    for _, record_ns, message in images(recordings / name):
        assert camera.offer(message, record_ns) is Outcome.ADMITTED
    frames = camera.clip(0, 2 * 10**18, 10_000).frames
    assert len(frames) == messages
    assert {frame.rgb.shape for frame in frames} == {shape}


def test_the_default_rate_thins_a_recording_evenly(recordings) -> None:
    camera = Camera("table", CameraSettings(buffer_frames=10_000))
    for _, record_ns, message in images(recordings / "bottles_5hz_mcap"):
        camera.offer(message, record_ns)
    stamps = [frame.stamp_ns for frame in camera.clip(0, 2 * 10**18, 10_000).frames]
    gaps = [after - before for before, after in pairwise(stamps)]
    assert len(stamps) == 80
    assert min(gaps) > 350_000_000
    assert max(gaps) < 650_000_000
