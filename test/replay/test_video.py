"""Video and Foxglove's pictures in bags: found by type, whatever the topic's name, and decoded from a key frame on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from llava_ov_ros.frames import AdmissionSettings, Camera, CameraSettings, DecodeOptions, MessageDecoder
from llava_ov_ros.message_types import IMAGE_TYPES
from llava_ov_ros.replay import BagError, camera_names, image_topics, read_messages, read_pictures, remarks
from llava_ov_ros.replay.definitions import DEFINITIONS

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
INTERFACES = Path(__file__).resolve().parents[1] / "interfaces"
TOPICS = {
    "/front/image_raw/ffmpeg": "ffmpeg_image_transport_msgs/msg/FFMPEGPacket",
    "/left/image_raw/foxglove": "foxglove_msgs/msg/CompressedVideo",
    "/right/video": "foxglove_msgs/msg/CompressedVideo",
    "/rear/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
}


@pytest.fixture(scope="module")
def packets(moving_pictures, encode_video):
    return encode_video("h264", moving_pictures(60))


def written(path, packets, first=0, storage=StoragePlugin.MCAP, pictures=()):
    """A bag of all topics with the packets from `first` on, and pictures of Foxglove's other two types."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for kind, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, kind))
    types = store.types
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {name: writer.add_connection(name, kind, typestore=store) for name, kind in TOPICS.items()}
        raw = writer.add_connection("/raw", "foxglove_msgs/msg/RawImage", typestore=store)
        png = writer.add_connection("/png", "foxglove_msgs/msg/CompressedImage", typestore=store)

        def write(connection, message, at_ns):
            writer.write(connection, at_ns, store.serialize_cdr(message, message.__msgtype__))

        for number, packet in list(enumerate(packets))[first:]:
            at_ns = T0_NS + number * S // 10
            stamp = types["builtin_interfaces/msg/Time"](sec=at_ns // S, nanosec=at_ns % S)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="optical")
            data = np.frombuffer(packet, np.uint8)
            for name, kind in TOPICS.items():
                fields = {"timestamp": stamp, "frame_id": "optical", "format": "h264"}
                if kind.endswith("FFMPEGPacket"):
                    fields = {"header": header, "width": 320, "height": 240, "encoding": "libx264", "pts": number}
                    fields |= {"flags": 0, "is_bigendian": False}
                elif kind.startswith("sensor_msgs"):
                    fields = {"header": header, "format": "h264"}
                write(connections[name], types[kind](data=data, **fields), at_ns)
        for number, picture in enumerate(pictures):
            at_ns = T0_NS + number * S // 10
            stamp = types["builtin_interfaces/msg/Time"](sec=at_ns // S, nanosec=at_ns % S)
            height, width = picture.shape[:2]
            fields = {"timestamp": stamp, "frame_id": "optical"}
            size = {"width": width, "height": height, "encoding": "rgb8", "step": 3 * width}
            write(raw, types[raw.msgtype](data=picture.ravel(), **fields, **size), at_ns)
            data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].ravel()
            write(png, types[png.msgtype](data=data, format="png", **fields), at_ns)
    return path


def decoded(bag, topic):
    """Time and picture of each message of a topic that has one."""
    return [
        (message.time_ns, picture().picture)
        for message, picture in read_pictures(bag, {topic: MessageDecoder("front", DecodeOptions())})
    ]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_every_picture_of_every_type_is_that_of_avs_own_decoding(storage, packets, tmp_path, decode_video):
    bag = written(tmp_path / "bag", packets, storage=storage)
    truth = decode_video("h264", packets)
    for topic in TOPICS:
        found = decoded(bag, topic)
        assert [at_ns for at_ns, _ in found] == [T0_NS + number * S // 10 for number in range(60)]
        for (_, picture), right in zip(found, truth, strict=True):
            assert np.array_equal(picture, right)


def test_a_bag_that_begins_in_the_middle(packets, tmp_path, decode_video):
    bag = written(tmp_path / "bag", packets, first=22)
    truth = decode_video("h264", packets)
    for topic in TOPICS:
        for (at_ns, picture), number in zip(decoded(bag, topic), range(30, 60), strict=True):
            assert at_ns == T0_NS + number * S // 10
            assert np.array_equal(picture, truth[number])


def test_the_remarks_count_what_came_before_a_key_frame(packets, tmp_path):
    bag = written(tmp_path / "bag", packets, first=22)
    topic = next(topic for topic in image_topics(bag) if topic.name == "/right/video")
    camera = Camera("right", CameraSettings(admission=AdmissionSettings(rate_hz=0.0)))
    for message in read_messages(bag, [topic.name]):
        camera.offer(message.message, message.time_ns)
    assert remarks([topic], {topic.name: camera}) == [
        "right (/right/video): 38 messages, 30 frames kept",
        "right: 8 messages of its video came before a key frame",
    ]


def test_transport_and_camera_are_told_by_type_and_name(packets, tmp_path):
    bag = written(tmp_path / "bag", packets[:3])
    found = {topic.name: topic.transport for topic in image_topics(bag) if topic.count}
    assert found == {
        "/front/image_raw/ffmpeg": "ffmpeg",
        "/left/image_raw/foxglove": "foxglove",
        "/right/video": "foxglove_msgs/msg/CompressedVideo",
        "/rear/image_raw/compressed": "compressed",
    }
    assert list(camera_names(list(TOPICS)).values()) == ["front", "left", "right", "rear"]


def test_foxgloves_pictures(packets, tmp_path, moving_pictures):
    pictures = moving_pictures(3)
    bag = written(tmp_path / "bag", packets[:1], pictures=pictures)
    for topic in ("/raw", "/png"):
        for (at_ns, picture), (number, right) in zip(decoded(bag, topic), enumerate(pictures), strict=True):
            assert at_ns == T0_NS + number * S // 10
            assert np.array_equal(picture, right)


def test_fields_that_later_releases_have_added_are_left_alone(packets, tmp_path):
    """The definitions of foxglove_msgs have got an identifier and a lineage at their end since."""
    kind = "foxglove_msgs/msg/CompressedVideo"
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(DEFINITIONS[kind] + "string uuid\n", kind))
    stamp = store.types["builtin_interfaces/msg/Time"](sec=T0_NS // S, nanosec=0)
    data = np.frombuffer(packets[0], np.uint8)
    message = store.types[kind](timestamp=stamp, frame_id="optical", data=data, format="h264", uuid="0198c0de")
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/video", kind, typestore=store)
        writer.write(connection, T0_NS, store.serialize_cdr(message, kind))
    ((at_ns, picture),) = decoded(tmp_path / "bag", "/video")
    assert (at_ns, picture.shape) == (T0_NS, (240, 320, 3))


def test_theora_is_refused_by_name(tmp_path):
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        definition = {"msgdef": "uint8[] data\n", "rihs01": "RIHS01_" + "0" * 64}
        video = writer.add_connection("/image/theora", "theora_image_transport/msg/Packet", **definition)
        writer.write(video, T0_NS, b"\0\1\0\0\0\0\0\0")
    with pytest.raises(BagError, match="/image/theora is of type theora_image_transport/msg/Packet: Theora is not"):
        image_topics(tmp_path / "bag")


def test_the_definitions_are_those_that_the_node_is_tested_with():
    for kind, text in DEFINITIONS.items():
        package, _, name = kind.split("/")
        assert (INTERFACES / package / "msg" / f"{name}.msg").read_text() == text
    assert set(DEFINITIONS) == {kind for kind in IMAGE_TYPES if not kind.startswith("sensor_msgs")}
