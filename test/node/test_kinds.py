"""Questions of a kind over the live node: typed values, and probabilities of all answers that were compared."""

from __future__ import annotations

import pytest
from llava_ov_ros.msg import Answer, AnswerChunk

from llava_ov_ros.onevision import Ask, load_engine


def says(text):
    return lambda *_: text


def test_yes_or_no(rig, scripted):
    robot = rig(load=scripted(says("yes")))
    robot.feed()
    chunks = robot.listen(AnswerChunk, "answer_chunks")
    answer = robot.ask("Is there a mug?", kind="yes_no")
    assert (answer.status, answer.kind, answer.text) == (Answer.OK, "yes_no", "yes")
    assert (answer.known, answer.yes) == (True, True)
    assert [choice.text for choice in answer.choices] == ["yes", "no", "cannot tell"]
    assert sum(choice.probability for choice in answer.choices) == pytest.approx(1)
    assert answer.confidence == answer.choices[0].probability > 0.8
    assert [chunk.text for chunk in chunks.wait_for_count(1)] == [""]


@pytest.mark.parametrize(
    ("said", "fields", "expected"),
    [
        ("no", {"kind": "yes_no"}, {"known": True, "yes": False, "text": "no"}),
        ("cannot tell", {"kind": "yes_no"}, {"known": False, "yes": False, "text": "cannot tell"}),
        ("three", {"kind": "count"}, {"known": True, "count": 3, "text": "three"}),
        ("zero", {"kind": "count"}, {"known": True, "count": 0, "text": "zero"}),
        ("blue", {"kind": "choice", "choices": ["red", "blue"]}, {"known": True, "text": "blue"}),
        ("a red mug", {"kind": "phrase"}, {"known": False, "text": "a red mug", "kind": "phrase"}),
        ("yes", {"kind": "phrase"}, {"known": False, "yes": False, "text": "yes", "kind": "phrase"}),
        # Words are no value: who believed `yes` here would take the door for shut.
        ("yes", {}, {"known": False, "yes": False, "text": "yes", "kind": "text"}),
        ("cannot tell", {}, {"known": False, "text": "cannot tell"}),
    ],
)
def test_values(rig, scripted, said, fields, expected):
    robot = rig(load=scripted(says(said)))
    robot.feed()
    answer = robot.ask("Which?", **fields)
    assert answer.status == Answer.OK
    assert {name: getattr(answer, name) for name in expected} == expected


def test_a_change_needs_no_question(rig, scripted):
    asked = []

    def script(clips, question, on_text, should_stop):
        asked.append(question)
        return "yes"

    robot = rig(load=scripted(script))
    robot.feed()
    answer = robot.ask("", kind="change")
    assert (answer.question, answer.yes) == ("Is anything different?", True)
    assert asked == ["Is anything different?"]


def test_letters_of_listed_choices_are_not_the_answer(rig, scripted):
    robot = rig(load=scripted(says("B")), prompts="llava_onevision")
    robot.feed()
    answer = robot.ask("What colour?", kind="choice", choices=["red", "blue"])
    assert (answer.text, answer.question) == ("blue", "What colour?")
    assert [choice.text for choice in answer.choices] == ["red", "blue"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "maybe"}, "kind is 'maybe': allowed are text, yes_no, choice"),
        ({"kind": "choice"}, "give at least two"),
        ({"kind": "choice", "choices": ["red", "red"]}, "be there once"),
        ({"kind": "yes_no", "choices": ["yes", "no"]}, "no choices of its own"),
    ],
)
def test_an_unusable_kind_is_told_what_to_change(rig, scripted, fields, message):
    robot = rig(load=scripted(says("yes")))
    robot.feed()
    answer = robot.ask("Is it?", **fields)
    assert answer.status == Answer.INVALID
    assert message in answer.message


def test_the_action_takes_kinds_too(rig):
    robot = rig()
    robot.feed()
    _, answer = robot.goal("Is there a mug?", kind="yes_no").result()
    assert answer.status == Answer.OK
    assert sum(choice.probability for choice in answer.choices) == pytest.approx(1)


def test_a_dialogue_by_service_and_action(rig, nano):
    robot = rig(model=nano, frozen_after_s=0.0)
    robot.feed()
    turns = ["Where is the mug?", "on the desk", "Is it red?", "yes"]
    fields = {"max_frames": 4, "max_new_tokens": 12}
    alone, told = (robot.ask("And now?", history=history, **fields) for history in ([], turns))
    assert (alone.status, told.status) == (Answer.OK, Answer.OK), told.message
    assert told.question == "And now?"
    assert told.text != alone.text, "the earlier turns did not reach the model"
    assert robot.goal("And now?", history=turns, **fields).result()[1].text == told.text
    # As the engine answers it with these turns about the same frames.
    engine = load_engine(nano, device="cpu")
    camera = robot.live._cameras["front"]
    clips = [camera.recent_clip(8 * 10**9, 4)]
    pairs = (("Where is the mug?", "on the desk"), ("Is it red?", "yes"))
    ask = Ask("And now?", max_new_tokens=12, history=pairs)
    assert engine.answer_many(clips, [ask])[0].text == told.text


def test_half_a_turn_is_refused(rig, scripted):
    robot = rig(load=scripted(says("yes")))
    robot.feed()
    answer = robot.ask("And now?", history=["Where is the mug?"])
    assert answer.status == Answer.INVALID
    assert answer.message == "history has 1 texts: give a question and its answer for every earlier turn"
