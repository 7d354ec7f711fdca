"""What the page shows stays bounded and consistent, whatever comes in whatever order."""

from __future__ import annotations

import sys

import pytest

from llava_ov_ros.web.board import MOST_ANSWERS, MOST_EVIDENCE, MOST_EVIDENCE_BYTES, MOST_GROWING, MOST_PLANS, Board
from llava_ov_ros.web.message_json import LONGEST_TEXT


def answer(name, sec=1, **fields):
    at = {"sec": sec, "nanosec": 0}
    return {
        "header": {"stamp": at},
        "request_id": name,
        "question": "What?",
        "text": "a mug",
        "message": "",
        "status": "OK",
        "answered_at": at,
        **fields,
    }


@pytest.fixture
def board():
    return Board("/llava_ov")


def test_an_answer_that_was_asked_here_grows_and_ends(board):
    board.take("asked", {"request_id": "a", "question": "What?", "kind": ""})
    for index, piece in enumerate(("a ", "mug")):
        event = board.take("chunk", {"request_id": "a", "index": index, "text": piece, "done": False})
    assert event == {
        "event": "growing",
        "growing": {"request_id": "a", "question": "What?", "kind": "", "text": "a mug"},
    }
    assert board.state()["growing"] == [event["growing"]]
    assert board.take("answer", answer("a"))["event"] == "answer"
    assert board.state()["growing"] == []


def test_pieces_may_come_before_it_is_known_who_asked_and_after_the_answer(board):
    board.take("chunk", {"request_id": "a", "index": 0, "text": "a ", "done": False})
    board.take("asked", {"request_id": "a", "question": "What?", "kind": ""})
    assert board.state()["growing"] == [{"request_id": "a", "question": "What?", "kind": "", "text": "a "}]
    board.take("answer", answer("a"))
    for done in (False, True):
        assert board.take("chunk", {"request_id": "a", "index": 1, "text": "mug", "done": done}) is None
    assert board.state()["growing"] == []


def test_the_same_answer_from_topic_and_action_counts_once_and_the_same_id_later_again(board):
    assert board.take("answer", answer("a")) is not None
    assert board.take("answer", answer("a")) is None
    assert board.take("answer", answer("a", sec=2)) is not None
    assert len(board.state()["answers"]) == 2


def test_nothing_grows_without_bound(board):
    for number in range(1000):
        board.take("chunk", {"request_id": f"c{number}", "index": 0, "text": "x" * 200, "done": False})
        board.take("answer", answer(f"a{number}", sec=number))
        board.take("plan", {"request_id": f"p{number}", "answered_at": {"sec": number, "nanosec": 0}})
        board.take("plan_asked", {"request_id": f"p{number}", "goal": "?"})
        board.take("evidence", {"stamp": {"sec": number, "nanosec": 0}, "jpeg": bytes(2**20)})
    for _ in range(3 * LONGEST_TEXT // 1000):
        board.take("chunk", {"request_id": "c999", "index": 1, "text": "y" * 1000, "done": False})
    state = board.state()
    assert [len(state[name]) for name in ("growing", "growing_plans")] == [MOST_GROWING] * 2
    assert [len(state[name]) for name in ("answers", "plans")] == [MOST_ANSWERS, MOST_PLANS]
    assert len(state["growing"][-1]["text"]) == LONGEST_TEXT
    assert len(state["evidence"]) == MOST_EVIDENCE_BYTES // 2**20
    kept = [board.evidence(number) for number in range(4000)]
    assert sum(len(jpeg) for jpeg in kept if jpeg) <= MOST_EVIDENCE_BYTES
    for _ in range(1000):
        board.take("plan_step", {"request_id": "p999", "attempt": 0, "step": {}})
    assert len(board.state()["growing_plans"][-1]["steps"]) < 1000
    assert sys.getsizeof(state["answers"]) < 10_000


def test_steps_of_a_plan_begin_anew_with_each_correction(board):
    board.take("plan_asked", {"request_id": "p", "goal": "tidy up"})
    for attempt, name in ((0, "one"), (0, "two"), (1, "three")):
        board.take("plan_step", {"request_id": "p", "attempt": attempt, "step": name})
    assert board.state()["growing_plans"] == [{"request_id": "p", "goal": "tidy up", "attempt": 1, "steps": ["three"]}]
    assert board.take("plan_step", {"request_id": "unknown", "attempt": 0, "step": "?"}) is None


def test_a_node_that_is_gone_has_no_hint_and_says_so_once(board):
    board.take("hint", {"goal": "tidy up"})
    gone = {"name": "/llava_ov", "up": False, "message": "no node"}
    assert board.take("node", gone) == {"event": "node", "node": gone}
    assert board.take("node", dict(gone)) is None
    assert board.state()["hint"] is None


def test_answers_are_searched_by_question_text_message_and_status(board):
    for number, fields in enumerate(
        ({"question": "Wo?"}, {"text": "TASSE"}, {"message": "too old", "status": "STALE"})
    ):
        board.take("answer", answer(str(number), **fields))
    assert [one["request_id"] for one in board.answers("tasse")] == ["1"]
    assert [one["request_id"] for one in board.answers("wO")] == ["0"]
    assert [one["request_id"] for one in board.answers("stale")] == ["2"]
    assert len(board.answers("")) == 3


def test_pictures_of_hints_do_not_push_those_of_answers_out(board):
    board.take("answer", answer("a", sec=5))
    first = board.take("evidence", {"stamp": {"sec": 5, "nanosec": 0}, "jpeg": b"answer"})["evidence"]
    for number in range(1000):
        board.take("evidence", {"stamp": {"sec": 100 + number, "nanosec": 0}, "jpeg": b"hint"})
    assert board.evidence(first["number"]) == b"answer"
    assert len(board.state()["evidence"]) == MOST_EVIDENCE
