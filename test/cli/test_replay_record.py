"""`llava-ov replay --record`: read back by MCAP's own reader, by rosbags, by rclpy, and by another replay."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from llava_ov_ros.cli.main import main
from llava_ov_ros.replay import TIMINGS

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "examples" / "demo_room"
FRONT, REAR = "/front/image_raw", "/rear/image_raw/compressed"
ANSWERS, EVIDENCE = "/llava_ov/answers", "/llava_ov/evidence/compressed"
S = 1_000_000_000


def replayed(capsys, *arguments):
    """Exit code, answers without their timings, and the error output."""
    try:
        code = main(["replay", *map(str, arguments), "--json"])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    return code, [{k: v for k, v in one.items() if k not in TIMINGS} for one in answers], captured.err


def messages_of(path):
    """Topic, log time and bytes of every message, as MCAP's own reader yields them in order of time."""
    with path.open("rb") as stream:
        return [
            (channel.topic, message.log_time, message.data)
            for _, channel, message in make_reader(stream).iter_messages()
        ]


def stored(bag, *topics):
    """The same of some topics of a ROS 2 bag, read by rosbags."""
    with Reader2(bag) as reader:
        connections = [one for one in reader.connections if one.topic in topics]
        return [(connection.topic, ns, bytes(raw)) for connection, ns, raw in reader.messages(connections)]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """The demonstration's recording, replayed with its questions and recorded: file, answers."""
    return tmp_path_factory.mktemp("recorded") / "out" / "answered.mcap"


def test_pictures_stay_as_they_are_and_answers_have_the_stamps_of_their_frames(room, capsys):
    rclpy = pytest.importorskip("rclpy.serialization")
    from llava_ov_ros.msg import Answer

    code, answers, told = replayed(capsys, ROOM, "--questions", ROOM / "truth.json", "--record", room)
    assert code == 0 and str(room) in told
    found = messages_of(room)
    cameras = {topic for topic, _, _ in found} - {ANSWERS, EVIDENCE}
    assert cameras and sorted(one for one in found if one[0] in cameras) == sorted(stored(ROOM, *cameras))

    # ROS' own code reads the answers, and says of them what the command has printed.
    read = [(ns, rclpy.deserialize_message(raw, Answer)) for topic, ns, raw in found if topic == ANSWERS]
    assert [(one.question, one.text, one.kind) for _, one in read] == [(a["question"], a["text"], "") for a in answers]
    assert [one.answered_at.sec * S + one.answered_at.nanosec for _, one in read] == [a["stamp_ns"] for a in answers]
    shown = [[stamp(frame.header) for frame in one.frames] for _, one in read]
    assert shown == [[frame["stamp_ns"] for frame in a["frames"]] for a in answers]
    assert all(stamp(one.header) == max(stamps) for (_, one), stamps in zip(read, shown, strict=True))

    # An answer comes after its frames, and before the first picture that it could not have seen.
    typestore = get_typestore(Stores.LATEST)
    taken = [
        (ns, stamp(typestore.deserialize_cdr(raw, "sensor_msgs/msg/CompressedImage").header))
        for topic, ns, raw in found
        if topic in cameras
    ]
    for ns, one in read:
        asked_ns = one.answered_at.sec * S + one.answered_at.nanosec
        assert ns == max(recorded for recorded, taken_ns in taken if taken_ns <= asked_ns)

    sheets = [typestore.deserialize_cdr(raw, "sensor_msgs/msg/CompressedImage") for t, _, raw in found if t == EVIDENCE]
    assert [stamp(one.header) for one in sheets] == [stamp(one.header) for _, one in read]
    assert all(cv2.imdecode(np.asarray(one.data), cv2.IMREAD_COLOR) is not None for one in sheets)


def stamp(header):
    return header.stamp.sec * S + header.stamp.nanosec


def test_a_replay_of_the_recording_gives_the_same_answers(room, capsys):
    _, before, _ = replayed(capsys, ROOM, "--questions", ROOM / "truth.json")
    # Without --topic: the evidence pictures are no second camera.
    code, again, _ = replayed(capsys, room, "--questions", ROOM / "truth.json")
    assert code == 0 and again == before and len(before) == 10


def test_other_readers_open_the_recording(room):
    with Reader2(room) as reader:
        kinds = {one.topic: (one.msgtype, one.msgcount) for one in reader.connections}
        assert kinds[ANSWERS] == ("llava_ov_ros/msg/Answer", 10) and kinds[EVIDENCE][1] == 10
        # The definitions in the file are enough to read its messages, without those of this package.
        types = get_typestore(Stores.EMPTY)
        for one in reader.connections:
            types.register(get_types_from_msg(one.msgdef.data, one.msgtype))
        texts = [
            types.deserialize_cdr(raw, connection.msgtype).text
            for connection, _, raw in reader.messages(one for one in reader.connections if one.topic == ANSWERS)
        ]
    assert len(texts) == 10 and all(texts)


def test_several_cameras_and_refusals(write_bag, shot, tmp_path, capsys):
    shots = [shot(FRONT, i * 0.5, level=i * 9) for i in range(9)] + [shot(REAR, i * 0.5, level=i * 9) for i in range(3)]
    bag, out = write_bag(tmp_path / "bag", shots), tmp_path / "out.mcap"
    asked = ["--topic", FRONT, "--topic", REAR, "--ask", "What is there?", "--at", "1", "--at", "4", "--max-age", "1"]
    code, answers, _ = replayed(capsys, bag, *asked, "--node", "/arm/vlm/", "--record", out)
    assert code == 1 and [one["status"] for one in answers] == ["OK", "STALE"]
    found = messages_of(out)
    assert sorted(one for one in found if one[0] in (FRONT, REAR)) == sorted(stored(bag, FRONT, REAR))
    assert [ns for topic, ns, _ in found if topic == "/arm/vlm/answers"] == [
        max(ns for topic, ns, _ in found if topic == of) for of in (REAR, FRONT)
    ]


def test_what_a_camera_sent_is_kept_also_where_it_is_no_picture(write_bag, shot, tmp_path, capsys):
    pictures = stored(write_bag(tmp_path / "bag", [shot(FRONT, i * 0.5, level=i * 9) for i in range(3)]), FRONT)
    broken = tmp_path / "broken.mcap"
    with broken.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="ros2")
        channel = writer.register_channel(FRONT, "cdr", writer.register_schema("sensor_msgs/msg/Image", "ros2msg", b""))
        for number, (_, ns, raw) in enumerate(pictures):
            writer.add_message(channel, ns, raw if number != 1 else raw[:40], ns)
        writer.finish()
    code, _, _ = replayed(capsys, broken, "--ask", "What is there?", "--record", tmp_path / "out.mcap")
    written = [data for topic, _, data in messages_of(tmp_path / "out.mcap") if topic == FRONT]
    assert code == 0 and written == [pictures[0][2], pictures[1][2][:40], pictures[2][2]]


def test_plans_are_recorded_as_the_command_prints_them(tmp_path, capsys):
    rclpy = pytest.importorskip("rclpy.serialization")
    from llava_ov_ros.msg import Plan

    out = tmp_path / "planned.mcap"
    goal = ["--goal", "put the mug in the fridge", "--at", "4", "--at", "9"]
    code = main(["plan", str(ROOM), *goal, "--json", "--record", str(out)])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    read = [rclpy.deserialize_message(raw, Plan) for topic, _, raw in messages_of(out) if topic == "/llava_ov/plans"]
    assert code in (0, 1) and len(printed) == len(read) == 2
    for plan, told in zip(read, printed, strict=True):
        assert [(one.number, one.action, list(one.arguments), list(one.reasons)) for one in plan.steps] == [
            (one["number"], one["action"], one["arguments"], one["reasons"]) for one in told["steps"]
        ]
        assert plan.outcome == getattr(Plan, told["outcome"]) and list(plan.problems) == told["problems"]
        assert (plan.goal, plan.text, plan.vocabulary, plan.prompts, plan.model, plan.repairs) == tuple(
            told[name] for name in ("goal", "text", "vocabulary", "prompts", "model", "repairs")
        )
        assert [stamp(frame.header) for frame in plan.frames] == [frame["stamp_ns"] for frame in told["frames"]]
        assert list(plan.accepted_by) == told["accepted_by"] and plan.confidence == pytest.approx(told["confidence"])
    assert [topic for topic, _, _ in messages_of(out)].count(EVIDENCE) == 2


def test_a_bag_of_ros_1_becomes_one_of_ros_2(write_bag, shot, tmp_path, capsys):
    bag = write_bag(tmp_path / "old.bag", [shot(FRONT, i * 0.5, level=i * 9) for i in range(5)], storage="ros1")
    out = tmp_path / "out.mcap"
    code, answers, _ = replayed(capsys, bag, "--ask", "What is there?", "--record", out)
    old, new = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.LATEST)
    with Reader1(bag) as reader:
        before = [(ns, old.deserialize_ros1(raw, one.msgtype)) for one, ns, raw in reader.messages()]
    after = [
        (ns, new.deserialize_cdr(raw, "sensor_msgs/msg/Image")) for topic, ns, raw in messages_of(out) if topic == FRONT
    ]
    assert code == 0 and len(after) == 5
    for (ns, image), (recorded_ns, recorded) in zip(before, after, strict=True):
        assert (ns, stamp(image.header)) == (recorded_ns, stamp(recorded.header))
        assert np.array_equal(image.data, recorded.data) and image.encoding == recorded.encoding
    assert replayed(capsys, out, "--ask", "What is there?")[1] == answers


def test_what_cannot_be_recorded_is_told(write_bag, shot, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", [shot(FRONT, i * 0.5, level=i * 9) for i in range(3)])
    there = tmp_path / "there.mcap"
    there.write_bytes(b"kept")
    for path, reason in (
        (there, "there.mcap exists: name a new file"),
        (tmp_path / "out.bag", "must end in .mcap"),
        (there / "below.mcap", "cannot be written"),
    ):
        code, _, told = replayed(capsys, bag, "--ask", "?", "--record", path)
        assert code == 1 and reason in told, told
    assert there.read_bytes() == b"kept"
    code, _, told = replayed(capsys, bag, "--ask", "?", "--live", "--record", tmp_path / "out.mcap")
    assert code == 2 and "ros2 bag record" in told
