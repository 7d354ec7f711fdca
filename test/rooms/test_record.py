"""`llava-ov rooms record`: bags that the rest of the package reads, and a truth that is what the pictures show."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random

import cv2
import numpy as np
import pytest

from llava_ov_ros.cli.main import main
from llava_ov_ros.replay import image_topics, read_messages, read_questions
from llava_ov_ros.rooms.record import FIRST_STAMP_NS, RecordingSettings, plan_recording, truth, write_recording
from llava_ov_ros.rooms.script import told
from llava_ov_ros.rooms.view import canvas_for
from llava_ov_ros.rooms.world import HAND, place_of

S = 1_000_000_000
TOPIC = "/camera/image_raw/compressed"
SMALL = ("--size", "96x72", "--seconds", "4")
SEEDS = range(24)
PATIENCE_S = 60.0


def record(capsys, out, *options):
    """Exit code, output and error output of `llava-ov rooms record`."""
    try:
        code = main(["rooms", "record", str(out), *options])
    except SystemExit as left:
        code = left.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def picture(message):
    return cv2.imdecode(message.message.data, cv2.IMREAD_COLOR)


def test_a_file_is_read_as_any_other_recording(capsys, tmp_path):
    out = tmp_path / "room.mcap"
    code, said, err = record(capsys, out, *SMALL, "--rate", "7.5")
    assert (code, err) == (0, "")
    assert f"llava-ov replay {out} --questions {tmp_path / 'room.truth.json'}" in said
    assert sorted(file.name for file in tmp_path.iterdir()) == ["room.mcap", "room.truth.json"]
    (topic,) = image_topics(out)
    assert (topic.name, topic.transport, topic.count, topic.stamped) == (TOPIC, "compressed", 30, True)
    messages = list(read_messages(out, [TOPIC]))
    assert [message.time_ns for message in messages] == [FIRST_STAMP_NS + round(i * S / 7.5) for i in range(30)]
    assert {picture(message).shape for message in messages} == {(72, 96, 3)}
    assert {message.message.format for message in messages} == {"bgr8; jpeg compressed bgr8"}
    assert {message.message.header.frame_id for message in messages} == {"camera_optical_frame"}


def test_another_name_is_a_folder_with_the_truth_in_it(capsys, tmp_path):
    out = tmp_path / "room"
    code, _, _ = record(capsys, out, *SMALL, "--note", "for the demonstration")
    assert code == 0
    assert sorted(file.name for file in out.iterdir()) == ["metadata.yaml", "room.mcap", "truth.json"]
    assert [topic.count for topic in image_topics(out)] == [20]
    about = json.loads((out / "truth.json").read_text())
    assert (about["topic"], about["camera"], about["note"]) == (TOPIC, "camera", "for the demonstration")
    assert [question.ask for question in read_questions(out / "truth.json")] == [q["ask"] for q in about["questions"]]


def test_cameras_see_the_same_moment_differently(capsys, tmp_path):
    out = tmp_path / "room.mcap"
    code, said, _ = record(capsys, out, *SMALL, "--cameras", "2")
    assert code == 0
    topics = ["/front/image_raw/compressed", "/left/image_raw/compressed"]
    assert [topic.name for topic in image_topics(out)] == topics
    assert f"--topic {topics[0]}" in said
    assert json.loads((tmp_path / "room.truth.json").read_text())["topics"] == topics
    front, left = (list(read_messages(out, [topic])) for topic in topics)
    assert [message.time_ns for message in front] == [message.time_ns for message in left]
    for one, other in zip(front, left, strict=True):
        assert np.abs(picture(one).astype(int) - picture(other)).mean() > 3


def test_the_same_seed_gives_the_same_bytes(capsys, tmp_path):
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        (tmp_path / name).mkdir()
        assert record(capsys, tmp_path / name / "room.mcap", *SMALL, "--seed", seed)[0] == 0
    for file in ("room.mcap", "room.truth.json"):
        one, two, three = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "three"))
        assert one == two
        assert one != three


def test_a_resting_camera_never_looks_frozen(capsys, tmp_path):
    assert record(capsys, tmp_path / "dark.mcap", *SMALL, "--jpeg-quality", "40", "--seed", "3")[0] == 0
    pictures = [picture(message) for message in read_messages(tmp_path / "dark.mcap", [TOPIC])]
    assert all(np.any(a != b) for a, b in itertools.pairwise(pictures))


def test_the_room_does_not_depend_on_cameras_size_or_questions():
    one = plan_recording(RecordingSettings(seed=5))
    other = plan_recording(RecordingSettings(seed=5, cameras=3, width=320, height=240, questions=5))
    assert one.script == other.script
    assert len(other.questions) == 5
    assert set(other.questions) <= set(plan_recording(RecordingSettings(seed=5, questions=99)).questions)


def test_events_follow_each_other_without_gaps(plans):
    for plan in plans:
        events = plan.script.events
        assert (events[0].start_s, events[-1].end_s) == (0.0, plan.script.last_s)
        assert all(one.end_s == two.start_s and one.after == two.before for one, two in itertools.pairwise(events))
        assert plan.script.last_s == pytest.approx((plan.frames - 1) / plan.settings.rate_hz)
        if plan.settings.seconds is not None:
            assert plan.frames == pytest.approx(plan.settings.seconds * plan.settings.rate_hz)
            assert len(plan.script.changes) == {3.0: 1, 12.2: 1, 30.0: 3, 75.0: 8}[plan.settings.seconds]


def test_the_events_in_the_truth_are_what_the_pictures_show(plans):
    for plan in plans:
        script, room = plan.script, plan.script.room
        for event, (start_s, end_s, text) in zip(script.events, truth(plan)["events"], strict=True):
            moment = script.at((start_s + end_s) / 2)
            if event.kind == "rest":
                assert moment == script.at(end_s - 1e-6) == event.before == event.after
                said = dict(re.findall(r"the (\w+ \w+) is ((?:on|in) the \w+)", text))
                assert said == {room.things[i].name: place_of(room, spot) for i, spot in moment.spots.items()}
            elif event.kind == "moved":
                assert moment.spots[event.thing].receptacle == HAND
                assert moment.hand is not None
                assert f"the {room.things[event.thing].name} is carried" in text
            else:
                assert text == told(room, event)


def test_things_come_go_and_are_carried():
    changes = Counter()
    for seed in SEEDS:
        script = plan_recording(RecordingSettings(seed=seed, seconds=75.0)).script
        assert script.changes[0].kind == "moved"
        for change in script.changes:
            changes[change.kind] += 1
            before, after = (script.at(time_s).spots for time_s in (change.start_s - 0.1, change.end_s + 0.1))
            assert (change.thing in before, change.thing in after) == (
                change.kind != "appeared",
                change.kind != "left",
            )
            if change.kind == "moved":
                assert before[change.thing].receptacle != after[change.thing].receptacle
            assert len({(spot.x, spot.y) for spot in after.values()}) == len(after)
    assert changes["moved"] > changes["left"] > 3
    assert changes["moved"] > changes["appeared"] > 3


def test_an_episode_reaches_its_goal(plans):
    for plan in plans:
        script = plan.script
        if script.episode is None:
            continue
        about, goal = truth(plan)["episode"], script.episode.goal
        steps = about["steps"]
        assert "; ".join(step["step"] for step in steps) == about["plan"]
        assert [step["start_s"] for step in steps] == [2.0 + 2.0 * i for i in range(len(steps))]
        assert all(one["end_s"] == two["start_s"] for one, two in itertools.pairwise(steps))
        assert steps[-1]["end_s"] == about["reached_s"] < script.last_s
        last = script.at(script.last_s)
        destination, params = goal.acts[-1], about["pddl_params"]
        if params["toggle_target"]:
            assert [script.room.things[i].kind for i in last.lit] == [params["toggle_target"]]
            assert params["object_target"] in {
                script.room.things[i].kind for i, spot in last.spots.items() if spot.receptacle == HAND
            }
        else:
            assert destination.action == "PutObject"
            # What was put into a bowl is where the bowl is.
            there = [
                script.room.things[i].kind for i, s in last.spots.items() if s.receptacle == params["parent_target"]
            ]
            wanted = 2 if about["task_type"] == "pick_two_obj_and_place" else 1
            assert there.count(params["object_target"]) >= wanted
        assert bool(last.sliced) == params["object_sliced"]


def test_drawn_questions_are_written(capsys, tmp_path):
    assert record(capsys, tmp_path / "one.mcap", *SMALL, "--seconds", "3", "--drawn")[0] == 0
    said = json.loads((tmp_path / "one.truth.json").read_text())["questions"]
    expected = plan_recording(RecordingSettings(seconds=3.0, drawn=True)).questions
    assert [question["ask"] for question in said] == [question.ask for question in expected]


def test_a_recorded_episode_covers_all_steps(capsys, tmp_path):
    out = tmp_path / "goal.mcap"
    code, _, _ = record(capsys, out, "--episode", "--size", "64x64", "--rate", "2")
    assert code == 0
    (topic,) = image_topics(out)
    about = json.loads((tmp_path / "goal.truth.json").read_text())
    assert (topic.last_ns - topic.first_ns) / S == about["events"][-1][1] > about["episode"]["reached_s"]


def test_all_cameras_have_all_things_in_the_picture(plans):
    for seed in SEEDS:
        plan = plan_recording(RecordingSettings(seed=seed, cameras=4))
        for frame, camera in itertools.product(range(0, plan.frames, 2), plan.cameras):
            canvas = canvas_for(camera.view, Random(0), 0.5)
            for spot in plan.script.at(frame / 5).spots.values():
                x, y = canvas.pixel(spot.x, spot.y - 8)
                assert 0 < x < 640 and 0 < y < 480, (seed, camera.name)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--seconds", "0"), "'0' is not a number of at least 3"),
        (("--seconds", "-1"), "'-1' is not a number of at least 3"),
        (("--seconds", "nan"), "'nan' is not a number of at least 3"),
        (("--cameras", "0"), "'0' is not a whole number from 1 to 4"),
        (("--cameras", "5"), "'5' is not a whole number from 1 to 4"),
        (("--size", "huge"), "'huge' is not WIDTHxHEIGHT, such as 640x480"),
        (("--size", f"640x{'9' * 5000}"), "is not WIDTHxHEIGHT, such as 640x480"),
        (("--size", "640x9"), "640x9: each side must be 64 to 4096 pixels"),
        (("--rate", "1"), "'1' is not a number from 2 to 60"),
        (("--jpeg-quality", "101"), "'101' is not a whole number from 1 to 100"),
        (("--episode", "--seconds", "5"), "--seconds with --episode: a plan takes as long as its steps"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_wrong_options_are_refused_and_leave_nothing(capsys, tmp_path, options, reason):
    code, out, err = record(capsys, tmp_path / "room.mcap", *options)
    assert (code, out) == (2, "")
    assert reason in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "code", "reason"),
    [
        ("there.mcap", 1, "exists already"),
        ("half.mcap", 1, "half.truth.json exists already"),
        ("nowhere/room.mcap", 1, "does not exist"),
        ("room.bag", 2, "bags are written as mcap"),
    ],
)
def test_where_it_cannot_be_written_all_is_left_as_it_was(capsys, tmp_path, out, code, reason):
    for kept in ("there.mcap", "half.truth.json"):
        (tmp_path / kept).write_text("mine")
    got, said, err = record(capsys, tmp_path / out, *SMALL)
    assert (got, said) == (code, "")
    assert len(err.splitlines()) == 1
    assert reason in err
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "there.mcap": "mine",
        "half.truth.json": "mine",
    }


@pytest.mark.parametrize("name", ["room.mcap", "room"])
def test_until_all_is_written_no_name_is_taken(tmp_path, name):
    plan = plan_recording(RecordingSettings(seconds=4.0, width=64, height=64))
    seen = []
    write_recording(plan, tmp_path / name, lambda: seen.append((tmp_path / name).exists()))
    assert seen == [False] * 20
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_recording_that_is_stopped_leaves_nothing(tmp_path, number, code):
    program = "import sys; from llava_ov_ros.cli.main import main; sys.exit(main())"
    arguments = ("rooms", "record", str(tmp_path / "long.mcap"), "--seconds", "3600")
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + PATIENCE_S
    while not any(tmp_path.glob(".long.mcap.*/long/long.mcap")):
        assert time.monotonic() < deadline_s, "nothing is being written"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_help_is_instant():
    check = (
        "import sys; from llava_ov_ros.cli.main import main\n"
        "try: main(['rooms', 'record', '--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "assert not {'torch', 'cv2', 'numpy', 'rosbags', 'rclpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert "llava-ov rooms record room.mcap" in done.stdout
