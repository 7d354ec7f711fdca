"""`llava-ov replay --live` with a real node in a process of its own."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import pytest

pytest.importorskip("rclpy", reason="a live replay needs ROS 2")

from llava_ov_ros.cli.main import main
from llava_ov_ros.live.playback import LiveSession
from llava_ov_ros.live.player import RECEIVES_ALL
from llava_ov_ros.live.process import NodeProcess
from llava_ov_ros.rooms.room_questions import CANNOT_TELL
from llava_ov_ros.rooms.world import COLOURS

pytestmark = pytest.mark.ros

T0_S = 1_700_000_000
ROBOT = f"/test_replay_live_{os.getpid()}"
TOPIC = f"{ROBOT}/front/image_raw"


@pytest.fixture(scope="module")
def bag(write_bag, shot, tmp_path_factory):
    """Five seconds of one camera, each picture with a grey level of its own."""
    return write_bag(tmp_path_factory.mktemp("bags") / "bag", [shot(TOPIC, i * 0.25, level=i * 12) for i in range(21)])


@pytest.fixture(autouse=True)
def domain_of_its_own(monkeypatch, domain_of_children):
    """The replay publishes /clock, which another test's node may listen to."""
    monkeypatch.setenv("ROS_DOMAIN_ID", domain_of_children)


@contextmanager
def running(folder, bag, active=True, **parameters):
    """A node for the bag's topic, brought up and ended."""
    values = {"use_sim_time": True, "image_topics": [TOPIC], **RECEIVES_ALL, "evidence": False} | parameters
    with NodeProcess(ROBOT, values, folder / "node.log") as node:
        with LiveSession(bag, [TOPIC], node.name, 1.0, check=node.check) as session:
            session.wait_until_up(60)
            if active:
                session.configure(60)
                session.activate(10)
        yield node
        assert node.end() == 0, node.tail()


def replay_live(capsys, bag, *arguments, node=f"{ROBOT}/llava_ov"):
    code = main(["replay", str(bag), "--live", "--node", node, *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_answers_rest_on_the_frames_that_were_played(capsys, bag, tmp_path):
    asks = ("--ask", "What colour is the mug?", "--at", 2, "--at", 5, "--rate", 4, "--json")
    with running(tmp_path, bag, clip_window_s=1.0, clip_spacing_s=0.0, clip_min_frames=3):
        code, out, err = replay_live(capsys, bag, *asks)
        assert code == 0, err
        code, newest, err = replay_live(capsys, bag, *asks, "--window", 0)
        assert [len(json.loads(line)["frames"]) for line in newest.splitlines()] == [1, 1]
    assert code == 0, err
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["at_s"] for record in records] == [2.0, 5.0]
    for record in records:
        assert record["text"] in (*COLOURS, CANNOT_TELL)
        assert 0 < record["confidence"] <= 1
        stamps = [frame["stamp_ns"] for frame in record["frames"]]
        newest_ns = (T0_S + round(record["at_s"])) * 1_000_000_000
        assert stamps == [newest_ns - back_ns for back_ns in (1_000_000_000, 500_000_000, 0)]
    assert f"{TOPIC}: 21 frames published" in err
    assert "2 questions" in err


def test_truth_window_and_standing_questions_to_read(capsys, bag, tmp_path):
    file = tmp_path / "questions.json"
    entry = {"ask": "What colour is the mug?", "at_s": 4, "window_s": 0.5, "truth": "no such colour"}
    file.write_text(json.dumps({"questions": [entry]}))
    standing = {"standing_questions": ["Where is the mug?"], "standing_period_s": 1.0}
    with running(tmp_path, bag, **standing):
        code, out, _ = replay_live(capsys, bag, "--questions", file)
    assert code == 0
    assert "truth: no such colour (different)" in out
    assert "2 frames of camera, 1700000003.500 s to 1700000004.000 s" in out
    assert "Where is the mug?   (a standing question, or asked by somebody else)" in out
    assert "1 question, 0 of 1 as the truth has it" in out


def test_a_question_without_an_answer_gives_exit_code_1(capsys, bag_with_gap, tmp_path):
    bag = bag_with_gap(TOPIC)
    with running(tmp_path, bag):
        code, out, _ = replay_live(capsys, bag, "--ask", "?", "--at", "9", "--rate", "4")
    assert code == 1
    assert "no answer: STALE" in out


def test_a_node_that_is_not_active_is_named(capsys, bag, tmp_path):
    with running(tmp_path, bag, active=False):
        code, _, err = replay_live(capsys, bag, "--ask", "?")
    assert code == 1
    assert f"does not hear {TOPIC} (not subscribed)" in err
    assert "unconfigured" in err


def test_a_node_without_simulated_time_is_told_so(capsys, bag, tmp_path):
    with running(tmp_path, bag, use_sim_time=False):
        code, _, err = replay_live(capsys, bag, "--ask", "?")
    assert code == 1
    assert "use_sim_time:=true" in err


def test_no_node_at_all(capsys, bag):
    code, _, err = replay_live(capsys, bag, "--ask", "?", node=f"{ROBOT}/nobody")
    assert code == 1
    assert f"no service {ROBOT}/nobody/ask: start the node" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "3"], "--frames does not go with --live: set the node's parameter clip_frames"),
        (["--model", "rooms-2"], "set the node's parameter model"),
        (["--sheet", "sheet.png"], "~/evidence/compressed"),
    ],
)
def test_what_belongs_to_the_node_is_refused(capsys, bag, arguments, message):
    code, _, err = replay_live(capsys, bag, "--ask", "?", *arguments)
    assert code == 2
    assert message in err
