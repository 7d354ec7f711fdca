"""Recordings played into the live node over real topics: no frame is lost, and answers rest on frames of the bag."""

from __future__ import annotations

import pytest
from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import stamp_ns
from llava_ov_ros.live.playback import LiveError, LiveSession
from llava_ov_ros.live.player import staged_base
from llava_ov_ros.node.messages import to_stamp
from llava_ov_ros.replay import ask_at, image_topics, is_correct, read_messages, read_questions
from llava_ov_ros.share import shipped

S = 1_000_000_000
RATE = 8.0


def parameters_for(topic):
    """What the node needs to hear a topic of a bag."""
    return {
        "image_topics": [staged_base(topic)],
        "image_transport": [topic.transport],
        "image_qos": "match",
        "use_sim_time": True,
    }


@pytest.mark.parametrize(("name", "begun"), [("bottles_5hz_mcap", False), ("box_5hz_mcap", True)])
def test_every_frame_of_a_recording_arrives_in_order(rig, scripted, recording, name, begun):
    """Played to a node that is activated while the player is there, and to one that was active before (`begun`)."""
    bag = recording(name)
    (topic,) = image_topics(bag)
    recorded = [message.time_ns for message in read_messages(bag, [topic.name])]
    buffer = {"buffer_frames": 1000, "buffer_mb": 2000, "clip_window_s": 3.0}
    robot = rig(load=scripted(lambda *_: "yes"), active=False, cameras={}, **parameters_for(topic), **buffer)
    answers = []
    if begun:
        robot.start()
    with LiveSession(bag, [topic.name], robot.name, RATE) as session:
        if not begun:
            robot.start()
        session.wait_until_heard()
        asked = ask_at(["Is there a cup?"], duration_ns=recorded[-1] - recorded[0], every_s=4.0)
        session.play(asked, 30.0, answers.append)
        _, values = robot.diagnostic("camera camera", lambda status, values: int(values["received"]) == topic.count)
        assert session.player.published[topic.name] == topic.count == len(recorded)
        everything = robot.ask(from_stamp=to_stamp(recorded[0]), to_stamp=to_stamp(recorded[-1]), max_frames=1024)
    assert (values["admitted"], values["out_of_order"], values["malformed"]) == (str(topic.count), "0", "0")
    assert [stamp_ns(frame.header.stamp) for frame in everything.frames] == recorded
    assert len(answers) == len(asked) >= 2
    for heard, question in zip(answers, asked, strict=True):
        answer = heard.answer
        assert (answer.status, heard.question) == (Answer.OK, question)
        stamps = [stamp_ns(frame.header.stamp) for frame in answer.frames]
        assert stamps == sorted(set(stamps))
        assert set(stamps) <= set(recorded)
        assert stamps[-1] <= recorded[0] + question.at_ns
        assert stamps[0] >= stamps[-1] - 3 * S
        assert stamp_ns(answer.header.stamp) == stamps[-1]


def test_the_demonstration_answers_every_question_rightly(rig):
    folder = shipped("examples/demo_room")
    questions = read_questions(folder / "truth.json")
    (topic,) = image_topics(folder)
    defaults = {"admission_rate_hz": 2.0, "max_frame_age_s": 2.0, "image_qos_depth": 50}
    robot = rig(active=False, cameras={}, **parameters_for(topic), **defaults)
    answers = []
    with LiveSession(folder, [topic.name], robot.name, RATE) as session:
        robot.start()
        session.wait_until_heard()
        session.play(questions, 30.0, answers.append)
        robot.diagnostic("camera camera", lambda status, values: int(values["received"]) == topic.count)
    wrong = [
        (heard.question.ask, heard.answer.text, heard.question.gold, heard.answer.message)
        for heard in answers
        if heard.answer.status != Answer.OK or not is_correct(heard.answer.text, heard.question.gold)
    ]
    assert wrong == []
    assert len(answers) == len(questions) > 5


def test_a_node_that_hears_the_pictures_but_not_the_time_is_named(rig, scripted, wait_until):
    folder = shipped("examples/demo_room")
    (topic,) = image_topics(folder)
    staged = {"image_topics": [staged_base(topic, "/staged")]}
    robot = rig(load=scripted(lambda *_: "yes"), cameras={}, **parameters_for(topic) | staged)
    with LiveSession(folder, [topic.name], robot.name, RATE, "/staged") as session:

        def complaint():
            with pytest.raises(LiveError) as raised:
                session.wait_until_heard(0.5)
            return f"{robot.name} does not hear /staged/clock (the node has another time" in str(raised.value)

        wait_until(complaint, "that only the time is missing")


@pytest.mark.parametrize("name", ["front/image_raw", "front/image_raw/compressed"])
def test_a_topic_without_a_slash_at_its_beginning_stays_in_the_namespace(
    rig, scripted, write_bag, shot, tmp_path, name
):
    bag = write_bag(tmp_path / "bag", [shot(name, i * 0.5, level=i) for i in range(4)], "sqlite3")
    (topic,) = image_topics(bag)
    staged = {"image_topics": [staged_base(topic, "/staged")]}
    robot = rig(active=False, load=scripted(lambda *_: "yes"), cameras={}, **parameters_for(topic) | staged)
    with LiveSession(bag, [name], robot.name, RATE, "/staged") as session:
        assert session.player.topics == [f"/staged/{name}"]
        robot.start()
        session.player.jump_to(topic.first_ns)
        robot.diagnostic("camera camera", lambda status, values: values["publishers"] == "1")
