"""Standing questions: asked again and again, changed while the node runs, on simulated time too."""

from __future__ import annotations

import time

from llava_ov_ros.msg import Answer

from llava_ov_ros.frames import stamp_ns

S = 1_000_000_000
T0_NS = 1_700_000_000 * S


def count_of(heard, question):
    return sum(answer.question == question for answer in heard.messages)


def test_standing_questions_are_answered_on_their_period(rig):
    robot = rig(standing_questions=["What colour is the pan?"], standing_period_s=0.1)
    answers = robot.listen(Answer, "answers")
    stamps = robot.feed()
    good = [answers.wait(lambda answer: answer.status == Answer.OK)]
    answers.wait_for_count(len(answers.messages) + 3)
    good = [answer for answer in answers.messages if answer.status == Answer.OK]
    assert len(good) >= 3
    assert {answer.question for answer in answers.messages} == {"What colour is the pan?"}
    assert len({answer.request_id for answer in good}) == len(good)
    assert [stamp_ns(frame.header.stamp) for frame in good[-1].frames] == stamps


def test_standing_questions_are_set_changed_and_cleared_live(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), standing_period_s=0.05)
    answers = robot.listen(Answer, "answers")
    robot.feed()
    assert robot.set(standing_questions=["Is there a cup?", "Is it hot?"]).successful
    answers.wait(lambda answer: answer.question == "Is there a cup?")
    answers.wait(lambda answer: answer.question == "Is it hot?")
    assert robot.set(standing_questions=["Is it cold?"]).successful
    answers.wait(lambda answer: answer.question == "Is it cold?")
    before = {question: count_of(answers, question) for question in ("Is there a cup?", "Is it hot?")}
    answers.wait_for_count(len(answers.messages) + 4)
    assert {question: count_of(answers, question) for question in before} == before
    assert robot.set(standing_questions=[""]).successful
    robot.ask("the last one?")
    heard = len(answers.messages)
    # Several periods later, seen by messages that do come.
    for _ in range(3):
        robot.diagnostic("queue")
    assert len(answers.messages) == heard


def test_the_period_is_changed_live(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), standing_questions=["Now?"], standing_period_s=1000.0)
    answers = robot.listen(Answer, "answers")
    robot.feed()
    assert robot.set(standing_period_s=0.05).successful
    answers.wait_for_count(3)


def test_standing_questions_pause_while_the_node_is_inactive(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), standing_questions=["Now?"], standing_period_s=0.05)
    answers = robot.listen(Answer, "answers")
    robot.feed()
    answers.wait(lambda answer: answer.status == Answer.OK)
    assert robot.transition("deactivate")
    # Set meanwhile, they begin with the next activation.
    assert robot.set(standing_questions=["And now?"]).successful
    robot.ask("between")
    answers.wait(lambda answer: answer.question == "between")
    assert robot.transition("activate")
    answers.wait(lambda answer: answer.question == "And now?")
    between = [answer.question for answer in answers.messages].index("between")
    assert {answer.question for answer in answers.messages[between + 1 :]} == {"And now?"}


def test_a_standing_question_that_is_still_being_answered_is_not_asked_again(rig, nano):
    robot = rig(model=nano, standing_questions=["Long?"], standing_period_s=0.05, max_new_tokens=300, queue_size=1)
    answers = robot.listen(Answer, "answers")
    robot.feed()
    answers.wait(lambda answer: answer.status == Answer.OK)
    answers.wait_for_count(len(answers.messages) + 1)
    assert all(answer.status in (Answer.OK, Answer.NO_FRAMES) for answer in answers.messages)
    _, values = robot.diagnostic("queue")
    assert values["ended_queue_full"] == "0"


def test_one_standing_question_looks_through_both_cameras(rig):
    cameras = {"front": "raw", "side": "compressed"}
    robot = rig(cameras=cameras, standing_questions=["Which object moved?"], standing_period_s=0.1)
    answers = robot.listen(Answer, "answers")
    stamps = robot.feed(count=3)
    answer = answers.wait(lambda answer: len(answer.frames) == 6)
    assert answer.status == Answer.OK
    assert [frame.camera for frame in answer.frames] == ["front"] * 3 + ["side"] * 3
    assert [stamp_ns(frame.header.stamp) for frame in answer.frames] == 2 * stamps
    assert len({frame.header.frame_id for frame in answer.frames}) == 2
    assert stamp_ns(answer.header.stamp) == stamps[-1]


def test_on_simulated_time_periods_and_ages_follow_the_clock(rig, scripted):
    robot = rig(
        load=scripted(lambda *_: "an answer"),
        use_sim_time=True,
        standing_questions=["Now?"],
        standing_period_s=5.0,
        max_frame_age_s=10.0,
    )
    answers = robot.listen(Answer, "answers")
    robot.set_clock(T0_NS)
    robot.feed(newest_ns=T0_NS)
    asked = robot.ask("by me")
    assert asked.status == Answer.OK
    assert stamp_ns(asked.answered_at) == T0_NS
    # Time stands still: diagnostics come, standing questions do not.
    for _ in range(3):
        robot.diagnostic("queue")
    before = count_of(answers, "Now?")
    robot.set_clock(T0_NS + 6 * S)
    first = answers.wait(lambda answer: answer.question == "Now?", after=len(answers.messages) - before)
    assert first.status == Answer.OK
    assert stamp_ns(first.answered_at) == T0_NS + 6 * S
    robot.set_clock(T0_NS + 12 * S)
    stale = answers.wait(lambda answer: answer.status == Answer.STALE)
    assert "is 12.0 s old" in stale.message
    assert count_of(answers, "Now?") <= before + 2


def test_when_simulated_time_begins_anew_the_node_goes_on(rig, scripted):
    """As with `ros2 bag play --loop --clock`."""
    robot = rig(
        load=scripted(lambda *_: "an answer"), use_sim_time=True, standing_questions=["Now?"], standing_period_s=1.0
    )
    answers = robot.listen(Answer, "answers")
    for lap in range(2):
        robot.set_clock(T0_NS + 100 * S)
        stamps = robot.feed(newest_ns=T0_NS + 100 * S)
        heard = len(answers.messages)
        robot.set_clock(T0_NS + 102 * S)
        answer = answers.wait(lambda answer: answer.status == Answer.OK, after=heard)
        assert [stamp_ns(frame.header.stamp) for frame in answer.frames] == stamps
        jumped = int(robot.diagnostic("camera front")[1]["jumps_back"])
        assert jumped == lap
    robot.set_clock(T0_NS + 5 * S)
    robot.set_clock(T0_NS + 7 * S)
    robot.feed(count=1, newest_ns=T0_NS + 7 * S)
    assert robot.ask().status == Answer.OK


def test_no_clock_yet_is_no_crash(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), use_sim_time=True)
    robot.cameras["front"].send(time.time_ns())
    _, values = robot.diagnostic("camera front", lambda status, values: values["received"] == "1")
    assert values["future_stamps"] == "1"
    assert robot.ask().status == Answer.NO_FRAMES


QUESTIONS = [f"Is it {number}?" for number in range(5)]


def test_as_many_standing_questions_as_may_wait_are_all_answered(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), standing_period_s=0.1, queue_size=5)
    answers = robot.listen(Answer, "answers")
    robot.feed()
    assert robot.set(standing_questions=QUESTIONS).successful
    answers.wait_for_count(25)
    assert {answer.status for answer in answers.messages} == {Answer.OK}
    assert {answer.question for answer in answers.messages} == set(QUESTIONS)


def test_more_standing_questions_than_may_wait_do_not_become_active(rig, scripted):
    robot = rig(load=scripted(lambda *_: "an answer"), active=False, standing_questions=QUESTIONS, queue_size=4)
    assert robot.transition("configure")
    assert not robot.transition("activate")
    assert robot.state() == "inactive"
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert "standing_questions has 5 questions, more than the 4 of queue_size" in status.message
    # One that stands there twice waits once.
    assert robot.set(standing_questions=[*QUESTIONS[:4], QUESTIONS[0]]).successful
    robot.activate()
    assert robot.diagnostic("model")[0].level == status.OK
    refused = robot.set(standing_questions=QUESTIONS)
    assert not refused.successful
    assert "has 5 questions, more than the 4 of queue_size" in refused.reason
