"""The demonstration's bag: recorded again byte for byte, small enough to ship, and asked about sensibly."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from rosbags.highlevel import AnyReader

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tools" / "demo_bag" / "record.py"
DEMO_ROOM = ROOT / "examples" / "demo_room"
NS_PER_S = 1_000_000_000


def record(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RECORD), *arguments], capture_output=True, text=True, check=False)


def read(folder: Path) -> list[tuple[str, int, bytes]]:
    """Topic, record time and serialized bytes of every message."""
    with AnyReader([folder]) as bag:
        return [(connection.topic, time_ns, bytes(raw)) for connection, time_ns, raw in bag.messages()]


@pytest.fixture(scope="module")
def images():
    """Every message of the shipped bag."""
    with AnyReader([DEMO_ROOM]) as bag:
        return [bag.deserialize(raw, connection.msgtype) for connection, _, raw in bag.messages()]


@pytest.fixture(scope="module")
def truth():
    return json.loads((DEMO_ROOM / "truth.json").read_text())


def stamp_ns(image) -> int:
    return image.header.stamp.sec * NS_PER_S + image.header.stamp.nanosec


def test_recording_again_gives_the_shipped_bag(tmp_path):
    done = record("--out", str(tmp_path / "demo_room"))
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "demo_room") == read(DEMO_ROOM)
    assert (tmp_path / "demo_room" / "truth.json").read_bytes() == (DEMO_ROOM / "truth.json").read_bytes()


def test_another_seed_gives_another_room(tmp_path):
    done = record("--seed", "1", "--out", str(tmp_path / "room"))
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "room")) == len(read(DEMO_ROOM))
    assert read(tmp_path / "room")[0][2] != read(DEMO_ROOM)[0][2]


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "kept").write_text("mine")
    done = record("--out", str(tmp_path))
    assert done.returncode == 1
    assert "exists already" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_the_bag_is_at_most_a_megabyte():
    assert sum(file.stat().st_size for file in DEMO_ROOM.iterdir()) <= 1_000_000


def test_the_frames_are_those_of_a_live_camera(images):
    pictures = [cv2.imdecode(image.data, cv2.IMREAD_COLOR) for image in images]
    assert {picture.shape for picture in pictures} == {(480, 640, 3)}
    assert {image.format for image in images} == {"bgr8; jpeg compressed bgr8"}
    stamps = [stamp_ns(image) for image in images]
    assert stamps == [1_700_000_000 * NS_PER_S + frame * NS_PER_S // 5 for frame in range(61)]
    # Identical pictures in a row would read as a frozen camera.
    assert all(bytes(a.data) != bytes(b.data) for a, b in itertools.pairwise(images))


def test_the_topic_is_the_one_that_the_truth_names(truth):
    with AnyReader([DEMO_ROOM]) as bag:
        (connection,) = bag.connections
    assert connection.topic == truth["topic"]
    assert connection.msgtype == "sensor_msgs/msg/CompressedImage"
    assert [qos.reliability.name for qos in connection.ext.offered_qos_profiles] == ["RELIABLE"]


def test_questions_lie_inside_the_recording_in_order_of_time(images, truth):
    last_s = (stamp_ns(images[-1]) - stamp_ns(images[0])) / NS_PER_S
    times = [question["at_s"] for question in truth["questions"]]
    assert times == sorted(times)
    for question in truth["questions"]:
        assert 0 <= question["at_s"] - question["window_s"] < question["at_s"] <= last_s, question


def test_questions_are_of_every_kind(truth):
    kinds = {question["kind"] for question in truth["questions"]}
    assert kinds >= {"colour", "presence", "counting", "place", "motion", "before", "plan"}


def test_the_answers_follow_the_events(truth):
    (_, rest_until_s, _), (_, moved_by_s, _), (_, end_s, _) = truth["events"]
    presence = {q["at_s"]: q["truth"] for q in truth["questions"] if q["kind"] == "presence"}
    assert {at_s < rest_until_s: answer for at_s, answer in presence.items()} == {True: "no", False: "yes"}
    for question in (q for q in truth["questions"] if q["kind"] == "motion"):
        seen = question["at_s"] - question["window_s"] < moved_by_s and question["at_s"] > rest_until_s
        assert (question["truth"] != "nothing") == seen, question
    assert end_s == 12.0
