"""The cameras of a node for a bag, as replay.launch.py asks for them."""

from __future__ import annotations

import json

import pytest

from llava_ov_ros.live.bag_cameras import cameras_of_bag, main

LEFT, RIGHT = "/left/image_raw", "/right/image_raw/compressed"


@pytest.fixture
def bag(write_bag, shot, tmp_path):
    return write_bag(tmp_path / "bag", [shot(LEFT, 0.0), shot(RIGHT, 0.5)], others=["/chatter"])


def test_the_cameras_are_those_of_the_bag(bag, capsys):
    assert main([str(bag)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "cameras": ["left", "right"],
        "image_topics": ["/left/image_raw", "/right/image_raw"],
        "image_transport": ["raw", "compressed"],
        "topics": [LEFT, RIGHT],
    }


def test_topics_can_be_chosen(bag):
    assert cameras_of_bag(bag, [RIGHT])["cameras"] == ["right"]


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        (
            ["/rear/image_raw"],
            "has no pictures on /rear/image_raw; it has /left/image_raw, /right/image_raw/compressed",
        ),
        (["/chatter"], "has no pictures on /chatter"),
    ],
)
def test_a_topic_without_pictures_is_refused(bag, topics, said, capsys):
    assert main([str(bag), *topics]) == 1
    assert said in capsys.readouterr().err


def test_a_bag_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
