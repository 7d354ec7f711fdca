"""The service `~/ask` and the topics that go with it: answers, pieces, evidence, refusals of unusable requests."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from llava_ov_ros.msg import Answer, AnswerChunk
from sensor_msgs.msg import CompressedImage

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.node.messages import to_stamp

S = 1_000_000_000


def used(answer: Answer) -> list[int]:
    """Stamps of the frames that an answer rests on."""
    return [stamp_ns(frame.header.stamp) for frame in answer.frames]


def test_an_answer_is_stamped_with_the_frames_it_rests_on(rig):
    robot = rig()
    stamps = robot.feed(count=4)
    answer = robot.ask("What colour is the pan?", request_id="mine")
    assert (answer.status, answer.message) == (Answer.OK, "")
    assert answer.text
    assert (answer.request_id, answer.question, answer.model) == ("mine", "What colour is the pan?", "rooms")
    assert used(answer) == stamps
    assert stamp_ns(answer.header.stamp) == stamps[-1]
    frame_id = f"{robot.cameras['front'].topic.strip('/').replace('/', '_')}_optical"
    assert {frame.header.frame_id for frame in answer.frames} == {answer.header.frame_id} == {frame_id}
    assert {frame.camera for frame in answer.frames} == {"front"}
    assert 0 < answer.confidence <= 1
    assert 0 < answer.time_to_first_token_s <= answer.total_time_s
    assert stamp_ns(answer.answered_at) >= stamps[-1]


def test_the_clip_is_the_window_before_the_newest_frame(rig):
    robot = rig()
    stamps = robot.feed(count=5, period_s=0.5)
    assert used(robot.ask(window_s=1.0)) == stamps[2:]
    assert used(robot.ask(window_s=60.0, max_frames=3)) == [stamps[0], stamps[2], stamps[4]]
    assert used(robot.ask(max_frames=1)) == stamps[-1:]
    # Where a request leaves it to the node, the clip that grows to clip_frames 4 and then keeps clip_min_frames 2.
    assert used(robot.ask()) == stamps[3:]


def test_a_past_time_range_is_answered_from_the_frames_of_that_time(rig):
    robot = rig()
    stamps = robot.feed(count=6, period_s=1.0)
    answer = robot.ask(from_stamp=to_stamp(stamps[1]), to_stamp=to_stamp(stamps[3]))
    assert (answer.status, used(answer)) == (Answer.OK, stamps[1:4])
    assert stamp_ns(answer.header.stamp) == stamps[3]
    # It is no question of age: the same range is answered when the camera has long been silent.
    assert robot.set(max_frame_age_s=0.01).successful
    assert robot.ask().status == Answer.STALE
    assert used(robot.ask(from_stamp=to_stamp(stamps[1]), to_stamp=to_stamp(stamps[3]))) == stamps[1:4]


def test_a_range_that_is_not_buffered_says_what_is(rig):
    robot = rig()
    stamps = robot.feed(count=2)
    answer = robot.ask(from_stamp=to_stamp(stamps[0] - 90 * S), to_stamp=to_stamp(stamps[0] - 80 * S))
    assert (answer.status, answer.text, list(answer.frames)) == (Answer.NO_FRAMES, "", [])
    assert "2 frames from" in answer.message
    assert f"{stamps[0] // S}." in answer.message


def test_a_question_may_name_some_of_the_cameras(rig):
    robot = rig(cameras={"front": "raw", "side": "compressed"})
    robot.feed()
    assert {frame.camera for frame in robot.ask().frames} == {"front", "side"}
    assert {frame.camera for frame in robot.ask(cameras=["side"]).frames} == {"side"}
    assert [frame.camera for frame in robot.ask(cameras=["side", "front"], max_frames=1).frames] == ["side", "front"]
    assert {frame.camera for frame in robot.ask(cameras=["front"], mode="image").frames} == {"front"}


@pytest.mark.parametrize("mode", ["video", "multi_image", "image"])
def test_every_visual_mode_answers(rig, mode):
    robot = rig()
    robot.feed(count=2)
    answer = robot.ask(mode=mode)
    assert answer.status == Answer.OK
    assert answer.text


def test_an_answer_cut_off_at_max_new_tokens_is_ok_and_says_so(rig, nano):
    robot = rig(model=nano)
    robot.feed()
    answer = robot.ask(max_new_tokens=3)
    assert (answer.status, answer.message) == (Answer.OK, "cut off at max_new_tokens 3")


UNUSABLE = [
    ({"question": "  "}, "question is empty: say what you want to know"),
    ({"cameras": ["front", "roof"]}, "no camera 'roof': cameras are front, side"),
    ({"cameras": ["side", "side"]}, "names one twice"),
    ({"mode": "film"}, "mode is 'film': allowed are video, multi_image, image"),
    ({"mode": "image"}, "name one in `cameras`"),
    ({"from_stamp": Time(sec=5), "to_stamp": Time(sec=4)}, "from_stamp is later than to_stamp"),
    ({"from_stamp": Time(sec=5)}, "from_stamp is later than to_stamp"),
    ({"max_frames": 4_000_000_000}, "max_frames is 4000000000: allowed is up to 1024"),
    ({"max_new_tokens": 5000}, "max_new_tokens is 5000: allowed is up to 4096"),
    ({"window_s": -1.0}, "window_s is -1.0"),
    ({"window_s": float("nan")}, "window_s is nan"),
    ({"deadline_s": float("inf")}, "deadline_s is inf"),
    ({"deadline_s": 1e30}, "must be up to 1e+06 seconds, or 0 for the parameter"),
]


def test_an_unusable_request_is_told_what_to_change(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), cameras={"front": "raw", "side": "raw"})
    robot.feed()
    for fields, reason in UNUSABLE:
        answer = robot.ask(**fields)
        assert answer.status == Answer.INVALID, fields
        assert reason in answer.message
        assert (answer.text, list(answer.frames), stamp_ns(answer.header.stamp)) == ("", [], 0)
    assert robot.ask().text == "an answer"


def test_answers_and_their_pieces_are_published(rig, nano):
    robot = rig(model=nano)
    answers, pieces = robot.listen(Answer, "answers"), robot.listen(AnswerChunk, "answer_chunks")
    stamps = robot.feed()
    response = robot.ask(max_new_tokens=40, request_id="a")
    published = answers.wait()
    assert published == response
    pieces.wait(lambda piece: piece.done)
    assert {piece.request_id for piece in pieces.messages} == {"a"}
    assert {stamp_ns(piece.header.stamp) for piece in pieces.messages} == {stamps[-1]}
    assert [piece.index for piece in pieces.messages] == list(range(len(pieces.messages)))
    assert "".join(piece.text for piece in pieces.messages) == response.text
    assert [piece.done for piece in pieces.messages] == [False] * (len(pieces.messages) - 1) + [True]
    assert len(pieces.messages) > 5
    # Refusals are published too: whoever follows ~/answers sees that something was asked in vain.
    robot.ask("", request_id="b")
    refused = answers.wait(lambda answer: answer.request_id == "b")
    assert refused.status == Answer.INVALID


def test_the_evidence_is_a_picture_of_the_frames_used(rig):
    robot = rig(cameras={"front": "raw", "side": "raw"})
    evidence = robot.listen(CompressedImage, "evidence/compressed")
    red, green = (np.full((48, 64, 3), colour, np.uint8) for colour in ((220, 30, 30), (30, 200, 30)))
    stamp = robot.feed(count=1)[0]
    robot.cameras["front"].send(stamp + S // 10, red)
    robot.cameras["side"].send(stamp + S // 10, green)
    for name in robot.cameras:
        robot.wait_until_received(name)
    answer = robot.ask(max_frames=1)
    message = evidence.wait()
    assert (message.header, message.format) == (answer.header, "jpeg")
    picture = cv2.imdecode(np.asarray(message.data), cv2.IMREAD_COLOR).astype(int)
    b, g, r = picture[..., 0], picture[..., 1], picture[..., 2]
    assert ((r > 180) & (g < 80)).mean() > 0.1
    assert ((g > 160) & (r < 80) & (b < 80)).mean() > 0.1


def test_without_the_parameter_evidence_no_picture_is_published(rig, scripted):
    robot = rig(load=scripted(lambda *_: "yes"), evidence=False)
    evidence = robot.listen(CompressedImage, "evidence/compressed")
    robot.feed()
    robot.ask()
    assert robot.set(evidence=True).successful
    answer = robot.ask(max_frames=1)
    assert evidence.wait().header == answer.header
    # The worker ends one request after the other: a picture of the first answer would have come before.
    assert len(evidence.messages) == 1


def test_a_question_in_another_script_comes_back_as_it_was(rig, scripted):
    robot = rig(load=scripted(lambda clips, question, on_text, stop: question))
    evidence = robot.listen(CompressedImage, "evidence/compressed")
    robot.feed()
    answer = robot.ask("杯子是什么颜色的？ <image> Größe ½ 🙂")
    assert answer.text == answer.question == "杯子是什么颜色的？ <image> Größe ½ 🙂"
    assert len(evidence.wait().data) > 1000
