"""Between ROS messages and queries and results: nothing is rounded, and no number can abort the process."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from llava_ov_ros.msg import Answer, AnswerChunk
from llava_ov_ros.srv import Ask
from rclpy.serialization import deserialize_message, serialize_message

from llava_ov_ros.frames import Clip, Frame, stamp_ns
from llava_ov_ros.node.messages import (
    InvalidRequestError,
    answer_message,
    chunk_message,
    newest_header,
    query_from,
    standing_query,
)
from llava_ov_ros.questions import Query, Result, Status
from llava_ov_ros.questions.evidence_picture import evidence_lines
from llava_ov_ros.settings import Settings
from llava_ov_ros.settings.value_range import ValueRange

S = 1_000_000_000
STAMP_NS = 1_700_000_123 * S + 987_654_321
SETTINGS = Settings(cameras=["front", "side"], image_topics=["/front", "/side"])


def clip(camera, *stamps):
    picture = np.zeros((4, 6, 3), np.uint8)
    return Clip(camera, tuple(Frame(camera, stamp, f"{camera}_optical", picture) for stamp in stamps))


def test_stamps_keep_every_nanosecond():
    clips = (clip("front", STAMP_NS - 1, STAMP_NS), clip("side", STAMP_NS - 7))
    message = answer_message(Result(Query("?", ("front", "side")), Status.OK, clips=clips), Time(sec=5), "model")
    assert [(used.camera, stamp_ns(used.header.stamp)) for used in message.frames] == [
        ("front", STAMP_NS - 1),
        ("front", STAMP_NS),
        ("side", STAMP_NS - 7),
    ]
    assert (stamp_ns(message.header.stamp), message.header.frame_id) == (STAMP_NS, "front_optical")
    assert (message.answered_at, message.model) == (Time(sec=5), "model")
    assert newest_header(tuple(reversed(clips))) == message.header


def test_a_frame_is_listed_with_the_header_of_its_message_and_the_time_that_was_used():
    picture = np.zeros((4, 6, 3), np.uint8)
    since_boot = Frame("front", STAMP_NS, "optical", picture, header_stamp_ns=12 * S + 1)
    clips = (Clip("front", (since_boot,)), clip("side", STAMP_NS - 1))
    message = answer_message(Result(Query("?", ("front", "side")), Status.OK, clips=clips), Time(sec=5), "model")
    assert [(stamp_ns(used.header.stamp), stamp_ns(used.stamp_used)) for used in message.frames] == [
        (12 * S + 1, STAMP_NS),
        (STAMP_NS - 1, STAMP_NS - 1),
    ]
    # The newest by the times used, with its own header.
    assert (stamp_ns(message.header.stamp), message.header.frame_id) == (12 * S + 1, "optical")


@pytest.mark.parametrize(
    "number", [1, np.float32(1), np.float64(1), 1.0, True], ids=lambda number: type(number).__name__
)
def test_any_number_of_an_engine_makes_a_message(number):
    result = Result(
        Query("?", ("front",)), Status.OK, confidence=number, time_to_first_token_s=number, total_s=number, text="x"
    )
    message = answer_message(result, Time(), "model")
    back = deserialize_message(serialize_message(message), Answer)
    assert (back.confidence, back.time_to_first_token_s, back.total_time_s) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_the_numbers_of_the_statuses_are_those_of_the_message(status):
    assert getattr(Answer, status.name) == status
    message = answer_message(Result(Query("?", ("front",)), status, "why"), Time(), "")
    assert (message.status, message.message, list(message.frames)) == (int(status), "why", [])


def test_a_chunk():
    message = chunk_message("id", (clip("front", STAMP_NS),), 7, "piece", done=False)
    assert deserialize_message(serialize_message(message), AnswerChunk) == message
    assert (stamp_ns(message.header.stamp), message.index, message.text) == (STAMP_NS, 7, "piece")


def test_the_defaults_of_a_request_are_the_parameters():
    query = query_from(Ask.Request(question=" Is there a cup? "), SETTINGS)
    assert query == Query(
        "Is there a cup?",
        ("front", "side"),
        mode="video",
        window_ns=None,
        range_ns=None,
        max_frames=4,
        max_new_tokens=64,
        deadline_s=30.0,
        request_id=query.request_id,
    )
    assert query.growing
    assert query.request_id
    assert query.request_id != query_from(Ask.Request(question="?"), SETTINGS).request_id
    standing = standing_query("Is there a cup?", SETTINGS)
    assert (standing.cameras, standing.max_new_tokens, standing.deadline_s) == (("front", "side"), 64, 30.0)


def test_a_request_for_so_many_frames_is_about_a_window():
    query = query_from(Ask.Request(question="?", max_frames=9), SETTINGS)
    assert (query.growing, query.window_ns, query.max_frames) == (False, 8 * S, 9)


def test_everything_that_a_request_says_is_taken():
    request = Ask.Request(
        question="?",
        cameras=["side"],
        mode="image",
        window_s=0.5,
        from_stamp=Time(sec=4, nanosec=1),
        to_stamp=Time(sec=4, nanosec=999_999_999),
        max_frames=7,
        max_new_tokens=9,
        deadline_s=2.5,
        request_id="mine",
    )
    assert query_from(request, SETTINGS) == Query(
        "?", ("side",), "image", S // 2, (4 * S + 1, 5 * S - 1), 7, 9, 2.5, "mine"
    )


def test_a_refused_request_keeps_its_id_and_its_question():
    with pytest.raises(InvalidRequestError) as refused:
        query_from(Ask.Request(question="Where?", mode="film", request_id="mine"), SETTINGS)
    assert (refused.value.query.request_id, refused.value.query.question) == ("mine", "Where?")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.001, 1e7])
@pytest.mark.parametrize("field", ["window_s", "deadline_s"])
def test_seconds_must_be_usable(field, value):
    with pytest.raises(InvalidRequestError, match=f"{field} is .*: it must be up to 1e.06 seconds"):
        query_from(Ask.Request(question="?", **{field: value}), SETTINGS)


def test_a_history_is_question_and_answer_by_turns():
    request = Ask.Request(question="And now?", history=["Where is it?", "on the desk", "Is it red?", " yes "])
    assert query_from(request, SETTINGS).history == (("Where is it?", "on the desk"), ("Is it red?", " yes "))
    assert query_from(Ask.Request(question="And now?"), SETTINGS).history == ()


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (["Where is it?"], "history has 1 texts: give a question and its answer for every earlier turn"),
        (["a?", "b", "c?"], "history has 3 texts"),
        (["a?", " "], "text 2 of history is empty"),
    ],
)
def test_a_history_that_is_none_is_refused(history, message):
    with pytest.raises(InvalidRequestError, match=message):
        query_from(Ask.Request(question="And now?", history=history), SETTINGS)


def test_the_range_of_a_frame_and_a_remark_are_told():
    frame = Frame("ir", 7, "optical", np.zeros((2, 2, 3), np.uint8), value_range=ValueRange(0.0, 4095.0))
    plain = Frame("ir", 8, "optical", np.zeros((2, 2, 3), np.uint8))
    result = Result(Query("?", ("ir",)), Status.OK, "a remark", "yes", clips=(Clip("ir", (frame, plain)),))
    message = answer_message(result, Time(), "model")
    assert [one.value_range for one in message.frames] == ["0..4095", ""]
    assert [line.text for line in evidence_lines(result)] == ["?", "yes   (0%)", "a remark"]
