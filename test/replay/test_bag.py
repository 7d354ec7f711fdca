"""Bags of every kind are read whole, in order of their frames' time, or refused with a clear text."""

from __future__ import annotations

import re
import shutil
import sqlite3

import pytest
from rosbags.typesys import Stores, get_typestore

from llava_ov_ros.replay import BagError, image_topics, read_messages

NS_PER_S = 1_000_000_000
T0_NS = 1_700_000_000 * NS_PER_S
RECORDED_NS = T0_NS + 100 * NS_PER_S
FRONT = "/front/image_raw"
REAR = "/rear/image_raw/compressed"
STORAGES = ("mcap", "sqlite3", "ros1")


def path_for(folder, storage):
    return folder / ("bag.bag" if storage == "ros1" else "bag")


def times_s(messages):
    return [(message.topic, round((message.time_ns - T0_NS) / NS_PER_S, 3)) for message in messages]


@pytest.mark.parametrize("storage", STORAGES)
def test_lists_image_topics_with_type_count_and_times(write_bag, shot, tmp_path, storage):
    shots = [shot(FRONT, i * 0.1) for i in range(50)] + [shot(REAR, 5 + i * 0.5) for i in range(3)]
    bag = write_bag(path_for(tmp_path, storage), shots, storage, others=["/chatter"])

    front, rear = image_topics(bag)

    assert (front.name, front.type, front.transport, front.count) == (FRONT, "sensor_msgs/msg/Image", "raw", 50)
    assert (rear.name, rear.type, rear.transport, rear.count) == (
        REAR,
        "sensor_msgs/msg/CompressedImage",
        "compressed",
        3,
    )
    assert (front.first_ns, front.last_ns) == (T0_NS, T0_NS + 4_900_000_000)
    assert (rear.first_ns, rear.last_ns) == (T0_NS + 5 * NS_PER_S, T0_NS + 6 * NS_PER_S)
    assert front.stamped
    assert rear.stamped


def test_last_time_of_a_topic_that_ended_long_before_the_bag(write_bag, shot, tmp_path):
    shots = [shot(FRONT, 0.0), shot(FRONT, 1.0), *(shot(REAR, float(i)) for i in range(2, 120, 5))]
    front, rear = image_topics(write_bag(tmp_path / "bag", shots))
    assert front.last_ns == T0_NS + NS_PER_S
    assert rear.last_ns == T0_NS + 117 * NS_PER_S


@pytest.mark.parametrize("storage", STORAGES)
def test_messages_come_once_each_in_order_of_stamps_not_of_recording(write_bag, shot, tmp_path, storage):
    # The rear camera's pictures arrive 0.35 s after they were taken, the front camera's at once.
    front = [shot(FRONT, i * 0.2, i * 0.2) for i in range(20)]
    rear = [shot(REAR, 0.1 + i * 0.2, 0.45 + i * 0.2) for i in range(20)]
    recorded = sorted(front + rear, key=lambda taken: taken.recorded_s)
    bag = write_bag(path_for(tmp_path, storage), recorded, storage)

    messages = list(read_messages(bag, [FRONT, REAR]))

    expected = sorted(((taken.topic, round(taken.at_s, 3)) for taken in recorded), key=lambda item: item[1])
    assert times_s(messages) == expected
    assert {message.lap for message in messages} == {0}


def test_only_the_topics_asked_for_are_read(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, 0.0), shot(REAR, 0.1), shot(FRONT, 0.2)])
    assert times_s(read_messages(bag, [REAR])) == [(REAR, 0.1)]


def test_a_zero_stamp_is_replaced_by_the_record_time(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, None, 0.5), shot(FRONT, None, 0.9)])
    (topic,) = image_topics(bag)
    assert not topic.stamped
    assert (topic.first_ns, topic.last_ns) == (RECORDED_NS + 500_000_000, RECORDED_NS + 900_000_000)
    assert [m.time_ns for m in read_messages(bag, [FRONT])] == [topic.first_ns, topic.last_ns]


def test_a_looped_recording_comes_lap_by_lap_with_both_cameras_side_by_side(write_bag, shot, tmp_path):
    one_lap = [(FRONT, 0.0), (REAR, 0.5), (FRONT, 5.0), (REAR, 5.5)]
    shots = [shot(topic, at, at + 6.0 * lap) for lap in range(2) for topic, at in one_lap]
    messages = list(read_messages(write_bag(tmp_path / "bag", shots), [FRONT, REAR]))
    assert times_s(messages) == one_lap * 2
    assert [message.lap for message in messages] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_small_disorder_within_a_topic_is_neither_sorted_nor_a_new_lap(write_bag, shot, tmp_path):
    shots = [shot(FRONT, at, number) for number, at in enumerate((0.0, 0.3, 0.2, 0.4))]
    messages = list(read_messages(write_bag(tmp_path / "bag", shots), [FRONT]))
    assert times_s(messages) == [(FRONT, 0.0), (FRONT, 0.3), (FRONT, 0.2), (FRONT, 0.4)]
    assert {message.lap for message in messages} == {0}


@pytest.mark.parametrize(("storage", "suffix"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_a_lone_storage_file_and_a_folder_without_metadata(write_bag, shot, tmp_path, storage, suffix):
    shots = [shot(FRONT, i * 0.1) for i in range(4)]
    bag = write_bag(tmp_path / "bag", shots, storage)
    (bag / "metadata.yaml").unlink()
    expected = [(FRONT, 0.0), (FRONT, 0.1), (FRONT, 0.2), (FRONT, 0.3)]
    assert times_s(read_messages(bag / f"bag{suffix}", [FRONT])) == expected
    assert times_s(read_messages(bag, [FRONT])) == expected


def test_a_split_bag_without_metadata_is_read_across_its_files(write_bag, shot, tmp_path):
    folder = tmp_path / "split"
    folder.mkdir()
    # As text, bag_10 sorts before bag_2.
    for name, start in (("bag_2", 0.0), ("bag_10", 1.0)):
        part = write_bag(tmp_path / name, [shot(FRONT, start), shot(FRONT, start + 0.5)])
        shutil.copy(part / f"{name}.mcap", folder)
    (topic,) = image_topics(folder)
    assert (topic.count, topic.last_ns) == (4, T0_NS + 1_500_000_000)
    assert times_s(read_messages(folder, [FRONT])) == [(FRONT, 0.0), (FRONT, 0.5), (FRONT, 1.0), (FRONT, 1.5)]


def test_a_bag_without_message_definitions_is_read(write_bag, shot, tmp_path):
    """ROS 2 Humble and older write none into sqlite3 bags."""
    source = write_bag(tmp_path / "bag", [shot(FRONT, 0.0), shot(FRONT, 0.5)], "sqlite3")
    old = tmp_path / "old.db3"
    connection = sqlite3.connect(old)
    connection.execute("ATTACH ? AS source", (str(source / "bag.db3"),))
    connection.execute(
        "CREATE TABLE topics AS SELECT id, name, type, serialization_format, '' AS offered_qos_profiles "
        "FROM source.topics"
    )
    connection.execute("CREATE TABLE messages AS SELECT * FROM source.messages")
    connection.commit()
    connection.close()
    assert times_s(read_messages(old, [FRONT])) == [(FRONT, 0.0), (FRONT, 0.5)]


def test_a_topic_without_messages_is_listed_and_yields_none(write_bag, tmp_path):
    from rosbags.rosbag2 import StoragePlugin, Writer

    types = get_typestore(Stores.ROS2_JAZZY)
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection(FRONT, "sensor_msgs/msg/Image", typestore=types)
    (topic,) = image_topics(tmp_path / "bag")
    assert (topic.count, topic.first_ns, topic.last_ns) == (0, 0, 0)
    assert list(read_messages(tmp_path / "bag", [FRONT])) == []


def test_an_unknown_topic_is_refused_with_those_there_are(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, 0.0), shot(REAR, 0.0)])
    with pytest.raises(BagError, match=rf"no image topic /wrong; it has {FRONT}, {REAR}"):
        list(read_messages(bag, ["/wrong"]))


def test_a_bag_without_image_topics_says_what_it_has(write_bag, tmp_path):
    bag = write_bag(tmp_path / "bag", [], others=["/chatter"])
    with pytest.raises(BagError, match=r"it has /chatter \(std_msgs/msg/String\)"):
        image_topics(bag)


def test_a_path_without_a_bag(tmp_path, write_bag, shot):
    with pytest.raises(BagError, match="nothing: no such file or folder"):
        image_topics(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BagError, match=r"notes\.txt is not a bag: give a folder"):
        image_topics(tmp_path / "notes.txt")
    with pytest.raises(BagError, match=r"neither metadata\.yaml nor"):
        image_topics(tmp_path)
    write_bag(tmp_path / "old.bag", [shot(FRONT, 0.0)], "ros1")
    write_bag(tmp_path / "newer", [shot(FRONT, 0.0)])
    (tmp_path / "loose").mkdir()
    (tmp_path / "newer").joinpath("newer.mcap").rename(tmp_path / "loose" / "a.mcap")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(BagError, match=r"is not a ROS 2 bag \(give one of the bags in it: loose, newer, old\.bag\)"):
        image_topics(tmp_path)
    for number in range(12):
        (tmp_path / f"more_{number:02}.bag").touch()
    with pytest.raises(BagError, match=r"loose, more_00\.bag, .*, more_10\.bag, \.\.\.\)"):
        image_topics(tmp_path)


@pytest.mark.parametrize(
    ("storage", "name", "hint", "source"),
    [
        ("mcap", "bag/bag.mcap", "mcap recover bag.mcap -o repaired.mcap", "mcap is at https://mcap.dev/guides/cli"),
        ("sqlite3", "bag/bag.db3", 'sqlite3 bag.db3 ".recover" | sqlite3 repaired.db3', "sqlite3 is in the package"),
        ("ros1", "bag.bag", "rosbag reindex bag.bag", "rosbag is part of ROS 1"),
    ],
)
def test_a_file_that_is_cut_off_is_named_with_a_way_to_repair_it(
    write_bag, shot, tmp_path, storage, name, hint, source
):
    write_bag(path_for(tmp_path, storage), [shot(FRONT, i * 0.1, level=i) for i in range(20)], storage)
    file = tmp_path / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BagError, match=rf"{file.name} is damaged or incomplete .*`{re.escape(hint)}` .*{source}"):
        list(read_messages(file, [FRONT]))


@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3", "bag.bag"])
@pytest.mark.parametrize(
    ("content", "said"), [(b"", "bag.* is empty"), (b"\x00\xff" * 999, "bag.* is not .*, by its first bytes")]
)
def test_no_tool_is_named_for_a_file_that_none_can_repair(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=said) as raised:
        image_topics(tmp_path / name)
    assert "`" not in str(raised.value)


def test_a_message_with_wrong_bytes_keeps_no_other_from_being_read(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, i * 0.1) for i in range(20)])
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    # The type's own text is longer than this; only message data has so many equal bytes in a row.
    position = content.index(b"rgb8\x00")
    content[position - 8 : position + 5] = b"\xff" * 13
    file.write_bytes(content)
    malformed = []
    assert len(list(read_messages(bag, [FRONT], on_malformed=malformed.append))) == 19
    assert [one.topic for one in malformed] == [FRONT]


def test_damage_in_the_middle_is_found_while_reading(write_bag, shot, tmp_path):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, i * 0.1) for i in range(20)])
    file = bag / "bag.mcap"
    content = bytearray(file.read_bytes())
    # The chunk begins behind the header record: its length is now that of no record.
    header_bytes = int.from_bytes(content[9:17], "little")
    content[17 + header_bytes + 1 : 17 + header_bytes + 9] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(BagError, match="damaged or incomplete"):
        list(read_messages(bag, [FRONT]))


def test_the_spot_recording(recording):
    bag = recording("spot_raw_mcap")
    topics = image_topics(bag)
    assert [(topic.name, topic.count) for topic in topics] == [
        ("/spot/camera/frontleft/image", 1),
        ("/spot/camera/hand_color/image", 1),
        ("/spot/camera/hand_mono/image", 1),
        ("/spot/depth/frontleft/image", 1),
    ]
    messages = list(read_messages(bag, [topic.name for topic in topics]))
    # Headers are of March 2022, record times of January 2023.
    assert all(1_648_000_000 < message.time_ns / NS_PER_S < 1_649_000_000 for message in messages)
    assert [message.time_ns for message in messages] == sorted(message.time_ns for message in messages)


@pytest.mark.parametrize(("name", "count"), [("bottles_5hz_mcap", 200), ("box_5hz_mcap", 76)])
def test_the_video_recordings_are_read_whole(recording, name, count):
    bag = recording(name)
    (topic,) = image_topics(bag)
    times = [message.time_ns for message in read_messages(bag, [topic.name])]
    assert len(times) == len(set(times)) == topic.count == count
    assert times == sorted(times)
    assert (times[0], times[-1]) == (topic.first_ns, topic.last_ns)
