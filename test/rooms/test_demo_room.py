"""The shipped recording: recorded again byte for byte, small, and what the shipped suite says of it is true."""

from __future__ import annotations

import json
import shlex

import pytest
from rosbags.highlevel import AnyReader

from llava_ov_ros.cli.main import main
from llava_ov_ros.evaluation.suite.suite_file import read_suite
from llava_ov_ros.rooms.room_questions import NUMBERS, goal_question
from llava_ov_ros.share import shipped

COMMAND = "rendered by llava-ov rooms record "


@pytest.fixture(scope="module")
def demo_room():
    return shipped("examples/demo_room")


@pytest.fixture(scope="module")
def truth(demo_room):
    return json.loads((demo_room / "truth.json").read_text())


def read(folder):
    """Topic, record time and serialized bytes of every message."""
    with AnyReader([folder]) as bag:
        return [(connection.topic, time_ns, bytes(raw)) for connection, time_ns, raw in bag.messages()]


def test_recording_again_gives_the_shipped_bag(demo_room, truth, tmp_path):
    options = shlex.split(truth["origin"].removeprefix(COMMAND).partition(";")[0])
    further = ["--questions", str(len(truth["questions"])), "--note", truth["note"]]
    assert main(["rooms", "record", str(tmp_path / "demo_room"), *options, *further]) == 0
    assert read(tmp_path / "demo_room") == read(demo_room)
    assert (tmp_path / "demo_room" / "truth.json").read_bytes() == (demo_room / "truth.json").read_bytes()


def test_it_is_small_enough_to_ship(demo_room):
    assert sum(file.stat().st_size for file in demo_room.iterdir()) <= 1_100_000


def test_it_demonstrates_many_kinds_of_questions(truth):
    assert len(truth["questions"]) == 10
    assert {question["kind"] for question in truth["questions"]} == {
        *("colour", "counting", "where", "presence", "motion", "plan")
    }
    assert "it demonstrates the model and does not measure it" in truth["note"]


def test_the_shipped_suite_says_what_is_true(truth):
    (rest, _, end) = truth["events"]
    stable = [[rest[0], rest[1]], [end[0], pytest.approx(end[1], abs=0.5)]]
    said = {(question["ask"], question["at_s"] < rest[1]): question["truth"] for question in truth["questions"]}
    (bag,) = read_suite(shipped("examples/suite.yaml")).bags
    counting, colour = bag.questions
    assert NUMBERS[counting["gold"]] == said[counting["ask"], True]
    assert colour["gold"] == said[colour["ask"], True]
    assert colour["gold"] in colour["choices"]
    where, there = bag.timelines
    for timeline in bag.timelines:
        assert [span[:2] for span in timeline["stable"]] == stable
    mover = next(question["truth"] for question in truth["questions"] if question["ask"] == "Which object moved?")
    before, now = (span[2] for span in where["stable"])
    assert before == said[where["ask"], True]
    assert now == said[f"Where is {mover} now?", False]
    assert [span[2] for span in there["stable"]] == [said[there["ask"], early] == "yes" for early in (True, False)]
    (plan,) = bag.plans
    assert plan["gold"] == said[goal_question(plan["goal"]), False]
