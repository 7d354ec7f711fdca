"""Answers about pictures of no rendered room: what is counted, and how sure the model is of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from llava_ov_ros.evaluation.rooms.strangers import StrangeReport, Untold, ask_stranger
from llava_ov_ros.questions import Kind
from llava_ov_ros.rooms.room_questions import CANNOT_TELL, Question

FRAMES = [np.zeros((24, 32, 3), np.uint8)] * 4
ASKED = [
    Question("colour", "What colour is the mug?", "red"),
    Question("presence", "Is there a mug?", "yes"),
    Question("presence", "Do you see a lamp?", "no"),
    Question("plan", "Goal: put the mug on the desk. Plan?", "cannot tell"),
]


def report_of(said, decided=None):
    """A report on ASKED about one clip of each of two cameras."""
    report, shown = StrangeReport(), []

    def answer(frames, texts):
        shown.append((len(frames), tuple(texts)))
        return [said[text] for text in texts]

    def decide(frames, scenes):
        return [decided[scene.kind] for scene in scenes]

    for camera in ("front", "rear"):
        ask_stranger(report, camera, FRAMES, ASKED, answer, None if decided is None else decide)
    assert shown == [(4, tuple(question.text for question in ASKED))] * 2
    return report


def test_only_cannot_tell_is_right_whatever_is_right_of_the_room():
    said = {
        "What colour is the mug?": ("red", 0.8),
        "Is there a mug?": ("yes", 0.9),
        "Do you see a lamp?": (CANNOT_TELL, 0.7),
        "Goal: put the mug on the desk. Plan?": (CANNOT_TELL, 0.6),
    }
    report = report_of(said)
    tables = report.as_dict()
    assert {kind: (row["n"], row["cannot_tell"], row["confidence"]) for kind, row in tables["kinds"].items()} == {
        "colour": (2, 0, 0.8),
        "presence": (4, 2, 0.9),
        "plan": (2, 2, None),
        "total": (8, 4, 0.85),
    }
    assert {name: (row["n"], row["share"]) for name, row in tables["cameras"].items()} == {
        "front": (4, 0.5),
        "rear": (4, 0.5),
    }
    assert tables["decided"] == {}
    assert report.others[:2] == [
        ("front", "What colour is the mug?", "red", 0.8),
        ("front", "Is there a mug?", "yes", 0.9),
    ]


def test_compared_answers_are_counted_by_their_kind():
    said = {question.text: (CANNOT_TELL, 0.5) for question in ASKED}
    tables = report_of(said, {Kind.CHOICE: (CANNOT_TELL, 0.4), Kind.YES_NO: ("yes", 0.96)}).as_dict()
    assert tables["kinds"]["total"]["share"] == 1.0
    assert {kind: (row["n"], row["cannot_tell"], row["confidence"]) for kind, row in tables["decided"].items()} == {
        "choice": (2, 2, None),
        "yes_no": (4, 0, 0.96),
        "total": (6, 2, 0.96),
    }


def test_the_interval_is_wilsons():
    # 5 of 10: Brown, Cai and DasGupta, Interval Estimation for a Binomial Proportion (2001), by the formula of Wilson.
    row = Untold(10, 5, [0.5] * 5).as_dict()
    assert (row["low"], row["high"]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
