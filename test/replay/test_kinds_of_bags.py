"""Recordings as recorders in the field write them, each of another kind, are read whole."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest
from rosbags.rosbag1 import Reader as Reader1

from llava_ov_ros.frames import Camera, CameraSettings, DecodeOptions
from llava_ov_ros.frames.decode import decode
from llava_ov_ros.replay import BagError, contents, counted_by, image_topics, read_messages, remarks

BAGS = Path(__file__).resolve().parents[1] / "data" / "bags"
CAMERA = "/camera/image_raw/compressed"
DEPTH = "/device_0/sensor_0/Depth_0/image/data"
COLOR = "/device_0/sensor_1/Color_0/image/data"
BAD_NS = 1_700_000_002_010_887_050
"""Record time of the message that is cut off, as Foxglove's command-line tool lists it."""


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("trailing_bytes.bag", {DEPTH: 5, COLOR: 5}),
        ("shortname.mcap", {CAMERA: 20}),
        ("profile_empty.mcap", {CAMERA: 20}),
        ("extra_json.mcap", {CAMERA: 20}),
        ("no_repeat_channels.mcap", {CAMERA: 20}),
        ("no_repeat_schemas.mcap", {CAMERA: 20}),
        ("message_zstd_no_metadata", {CAMERA: 20}),
        ("bad_middle", {"/good/compressed": 20, "/bad/compressed": 19}),
        ("wal_left_behind", {CAMERA: 20}),
    ],
)
def test_every_frame_is_read_and_can_be_decoded(name, frames):
    bag = BAGS / name
    topics = image_topics(bag)
    assert {topic.name for topic in topics} == frames.keys()
    malformed = []
    messages = list(read_messages(bag, list(frames), on_malformed=malformed.append))
    assert {name: sum(message.topic == name for message in messages) for name in frames} == frames
    recorded = {topic.name: topic.count for topic in topics}
    assert {name: recorded[name] - sum(one.topic == name for one in malformed) for name in frames} == frames
    times = [message.time_ns for message in messages]
    assert times == sorted(times)
    for message in messages:
        assert decode(message.message, "camera", DecodeOptions()).any()


def test_pictures_with_spare_bytes_behind_them_are_those_of_the_message():
    with Reader1(BAGS / "trailing_bytes.bag") as reader:
        raw = {(connection.topic, bytes(data)) for connection, _, data in reader.messages()}
    for message in read_messages(BAGS / "trailing_bytes.bag", [DEPTH, COLOR]):
        image = message.message
        data = image.data.tobytes()
        assert len(data) == image.height * image.step
        # The recorded bytes end with the length of the picture, the picture, and four bytes of nothing.
        (whole,) = [one for topic, one in raw if topic == message.topic and one[-4 - len(data) : -4] == data]
        assert struct.unpack_from("<I", whole, len(whole) - 8 - len(data)) == (len(data),)
        if message.topic == COLOR:
            assert decode(image, "color", DecodeOptions()).tobytes() == data
        else:
            assert image.encoding == "mono16"


def test_a_message_that_is_cut_off_is_counted_and_named_with_topic_and_time():
    topics = image_topics(BAGS / "bad_middle")
    cameras = {topic.name: Camera(topic.name.split("/")[1], CameraSettings()) for topic in topics}
    for message in read_messages(BAGS / "bad_middle", list(cameras), on_malformed=counted_by(cameras)):
        cameras[message.topic].offer(message.message, message.time_ns)
    assert (cameras["/good/compressed"].counts.received, cameras["/good/compressed"].counts.malformed) == (20, 0)
    assert (cameras["/bad/compressed"].counts.received, cameras["/bad/compressed"].counts.malformed) == (20, 1)
    (told,) = [line for line in remarks(topics, cameras) if "malformed" in line]
    assert "bad: 1 malformed messages" in told
    assert f"of /bad/compressed recorded at {BAD_NS / 1e9:.3f} s" in told


def test_without_a_camera_to_count_a_malformed_message_is_logged(caplog):
    assert len(list(read_messages(BAGS / "bad_middle", ["/bad/compressed"]))) == 19
    (text,) = caplog.messages
    assert "/bad/compressed" in text
    assert "1700000002.011 s" in text


def test_a_topic_with_a_malformed_first_and_last_message_is_listed(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot("/front/image_raw", i * 0.5) for i in range(4)], "sqlite3")
    _execute(bag / "bag.db3", "UPDATE messages SET data = x'00010000' WHERE id IN (1, 4)")
    (topic,) = image_topics(bag)
    assert (topic.count, topic.last_ns - topic.first_ns) == (4, 500_000_000)
    assert len(list(read_messages(bag, [topic.name]))) == 2


def test_a_topic_of_nothing_but_malformed_messages_has_their_record_times(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot("/front/image_raw", i * 0.5) for i in range(4)], "sqlite3")
    _execute(bag / "bag.db3", "UPDATE messages SET data = x''")
    (topic,) = image_topics(bag)
    assert (topic.count, topic.last_ns - topic.first_ns, topic.stamped) == (4, 1_500_000_000, False)
    assert list(read_messages(bag, [topic.name])) == []


def test_the_folder_of_a_recording_is_left_as_it_is(tmp_path):
    """SQLite itself would move the write-ahead log into the database, and cannot where the folder is read-only."""
    copy = shutil.copytree(BAGS / "wal_left_behind", tmp_path / "bag")
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    assert contents(copy).duration_ns > 3_000_000_000
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before


@pytest.mark.parametrize("line", ["storage_identifier: mcap", "storage_identifier: other"])
def test_a_topic_in_another_format_does_not_refuse_the_bag_that_has_metadata(tmp_path, line):
    bag = tmp_path / "bag"
    bag.mkdir()
    shutil.copy(BAGS / "extra_json.mcap", bag / "bag_0.mcap")
    (bag / "metadata.yaml").write_text(
        f"rosbag2_bagfile_information:\n  version: 9\n  {line}\n  relative_file_paths: [bag_0.mcap]\n"
        "  topics_with_message_count:\n"
        "    - {topic_metadata: {name: /notes, type: Note, serialization_format: json}, message_count: 1}\n"
    )
    assert [(topic.name, topic.count) for topic in image_topics(bag)] == [(CAMERA, 20)]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("rosbag2_bagfile_information: {relative_file_paths: [bag_0.mcap]}", "lacks bag_0.mcap.*copy the whole folder"),
        ("rosbag2_bagfile_information: 3", "does not list the bag's files.*`ros2 bag reindex bag`"),
        ("{", "does not list the bag's files.*`ros2 bag reindex bag`"),
    ],
)
def test_a_metadata_file_that_is_wrong_is_told_with_the_remedy(tmp_path, metadata, said):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").write_text(metadata)
    with pytest.raises(BagError, match=said):
        image_topics(tmp_path / "bag")


def _execute(database, statement):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)
