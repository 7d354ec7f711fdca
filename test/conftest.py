"""Bags written for one test, and where the real recordings lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

from llava_ov_ros.share import shipped

NS_PER_S = 1_000_000_000
T0_NS = 1_700_000_000 * NS_PER_S
"""Second 0 of the stamps in written bags."""
RECORDED_NS = T0_NS + 100 * NS_PER_S
"""Second 0 of their record times: another clock."""

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data" / "bags"


@dataclass(frozen=True)
class Shot:
    """One picture of a written bag.

    Attributes:
        topic: Where it is published; a name ending in /compressed makes it a JPEG.
        at_s: Its stamp, in seconds after T0_NS; None: the stamp is zero.
        recorded_s: Its record time, in seconds after RECORDED_NS; None: `at_s`.
        level: Grey level of the picture, 0 to 255.
    """

    topic: str
    at_s: float | None
    recorded_s: float | None = None
    level: int = 0


def _message(types: dict[str, Any], shot: Shot) -> Any:
    stamp_ns = 0 if shot.at_s is None else T0_NS + round(shot.at_s * NS_PER_S)
    stamp = types["builtin_interfaces/msg/Time"](stamp_ns // NS_PER_S, stamp_ns % NS_PER_S)
    header_type = types["std_msgs/msg/Header"]
    fields = {"stamp": stamp, "frame_id": "optical"}
    header = header_type(**fields, seq=0) if "seq" in header_type.__dataclass_fields__ else header_type(**fields)
    picture = np.full((24, 32, 3), shot.level, dtype=np.uint8)
    if shot.topic.endswith("/compressed"):
        data = cv2.imencode(".jpg", picture)[1].ravel()
        return types["sensor_msgs/msg/CompressedImage"](header, "rgb8; jpeg compressed bgr8", data)
    return types["sensor_msgs/msg/Image"](header, 24, 32, "rgb8", 0, 96, picture.ravel())


def _write_bag(path: Path, shots: Sequence[Shot], storage: str = "mcap", others: Sequence[str] = ()) -> Path:
    types = get_typestore(Stores.ROS1_NOETIC if storage == "ros1" else Stores.ROS2_JAZZY)
    if storage == "ros1":
        writer: Any = Writer1(path)
        serialize: Callable[..., Any] = types.serialize_ros1
    else:
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        writer, serialize = Writer2(path, version=9, storage_plugin=plugin), types.serialize_cdr
    with writer:
        for topic in others:
            writer.add_connection(topic, "std_msgs/msg/String", typestore=types)
        connections: dict[str, Any] = {}
        for shot in shots:
            message = _message(types.types, shot)
            if shot.topic not in connections:
                connections[shot.topic] = writer.add_connection(shot.topic, message.__msgtype__, typestore=types)
            recorded_s = shot.at_s if shot.recorded_s is None else shot.recorded_s
            assert recorded_s is not None
            recorded_ns = RECORDED_NS + round(recorded_s * NS_PER_S)
            writer.write(connections[shot.topic], recorded_ns, serialize(message, message.__msgtype__))
    return path


@pytest.fixture(scope="session")
def rooms() -> Path:
    """The shipped model's directory."""
    found = shipped("models/rooms")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def write_bag() -> Callable[..., Path]:
    """Writes a bag: `write_bag(path, shots, storage="mcap" | "sqlite3" | "ros1", others=topics_of_strings)`."""
    return _write_bag


@pytest.fixture(scope="session")
def shot() -> type[Shot]:
    """The class of one picture: `shot(topic, at_s, recorded_s=None, level=0)`."""
    return Shot


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """Path of a real recording; skips the test where the recordings are not there."""

    def find(name: str) -> Path:
        path = RECORDINGS / name
        if not path.exists():
            pytest.skip(f"the recording {path} is not on this machine")
        return path

    return find
