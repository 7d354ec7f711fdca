"""Every question whose answers are known is decided among answers that hold the right one."""

from __future__ import annotations

from collections import Counter

from llava_ov_ros.evaluation.rooms.accuracy import trials
from llava_ov_ros.evaluation.rooms.typed_questions import scene_question
from llava_ov_ros.questions import Kind, find_prompts, load_prompts, shape

ALWAYS = {"colour": Kind.CHOICE, "presence": Kind.YES_NO, "counting": Kind.COUNT}


def test_the_right_answer_is_always_among_those_compared():
    plain = load_prompts(find_prompts("plain"))
    found = Counter()
    for trial in trials(21, 60, sizes=((64, 64),)):
        for question in trial.asked:
            typed = scene_question(question)
            if typed is None:
                assert question.category not in ALWAYS, question
                continue
            assert ALWAYS.get(question.category, typed.kind) == typed.kind, question
            assert question.category not in ("where", "on_in", "plan", "next_step"), question
            assert typed.text == question.text
            labels = [option.label for option in shape(typed, plain).options]
            assert question.gold in labels, question
            found[question.category, typed.kind] += 1
    assert {kind for kind, _ in found} == {*ALWAYS, "left_right", "motion", "cannot_tell"}
    assert {typed for kind, typed in found if kind == "motion"} == {Kind.YES_NO, Kind.CHOICE}
