"""How plans are asked for: rooms' own forms, texts that list the robot's actions, what the answer is held to."""

from __future__ import annotations

import pytest

from llava_ov_ros.rooms.questions import DONE, goal_question, next_step_question
from llava_ov_ros.tasks.planning import (
    GoalTextError,
    Step,
    goal_text,
    next_step_ask,
    plan_ask,
    repair_ask,
    reported_step,
    split_line,
    validate,
)
from llava_ov_ros.tasks.prompts import find_prompts, load_prompts

PLAIN, ONEVISION = (load_prompts(find_prompts(name)) for name in ("plain", "llava_onevision"))
GOAL = "put the red mug on the desk"
STEPS = (Step("GotoLocation", ("shelf",)), Step("PickupObject", ("mug",)))


def test_plain_asks_as_rooms_was_trained(alfred) -> None:
    assert plan_ask(f" {GOAL}. ", alfred, PLAIN).prompt == goal_question(GOAL)
    assert next_step_ask(GOAL, (), alfred, PLAIN).prompt == next_step_question(GOAL, "")
    reported = "GotoLocation shelf; PickupObject mug"
    assert next_step_ask(GOAL, STEPS, alfred, PLAIN).prompt == next_step_question(GOAL, reported)
    assert PLAIN.planning.done == DONE


def test_onevision_is_told_what_there_is(alfred) -> None:
    prompt = plan_ask(GOAL, alfred, ONEVISION).prompt
    assert f"Your Main Goal: {GOAL}.\n" in prompt
    for action in alfred.actions.values():
        assert "\n" + " ".join([action.name, *(f"<{one.type}>" for one in action.arguments)]) + "\n" in prompt
    assert all(name in prompt for name in alfred.classes)
    assert "at most 16 steps" in prompt
    prompt = next_step_ask(GOAL, STEPS, alfred, ONEVISION).prompt
    assert "Step Details: GotoLocation shelf; PickupObject mug\n" in prompt


def test_braces_in_a_goal_are_text(alfred) -> None:
    assert plan_ask("put {words} and {goal} away", alfred, PLAIN).prompt == ("Goal: put {words} and {goal} away. Plan?")


def test_what_answers_are_held_to(alfred) -> None:
    whole, step = plan_ask(GOAL, alfred, PLAIN), next_step_ask(GOAL, STEPS, alfred, PLAIN)
    assert whole.grammar is not None and '"cannot tell"' in whole.grammar and '"DONE"' not in whole.grammar
    assert '"NoOp"' in whole.grammar and "{0,15}" in whole.grammar
    assert step.grammar is not None and '"DONE"' in step.grammar and '"cannot tell"' in step.grammar
    assert '"NoOp"' not in step.grammar and "{0," not in step.grammar
    assert step.max_new_tokens < whole.max_new_tokens
    onevision = next_step_ask(GOAL, STEPS, alfred, ONEVISION).grammar
    assert onevision is not None and "cannot tell" not in onevision
    assert plan_ask(GOAL, alfred, PLAIN, "free").grammar is None
    assert next_step_ask(GOAL, STEPS, alfred, PLAIN, "free").grammar is None


def test_a_repair_says_what_is_wrong(alfred) -> None:
    broken = validate(split_line("PutObject mug desk"), alfred)
    ask = repair_ask(GOAL, broken, alfred, PLAIN)
    assert GOAL in ask.prompt and broken.violations[0].text in ask.prompt
    assert ask.grammar == plan_ask(GOAL, alfred, PLAIN).grammar


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "goal is empty"), (" .\n", "goal is empty"), ("x" * 501, "goal has 501 characters: allowed are 500")],
)
def test_goals_that_cannot_be_asked(text: str, message: str) -> None:
    with pytest.raises(GoalTextError, match=message):
        goal_text(text)


def test_a_goal_is_one_line() -> None:
    assert goal_text("put it\n on  the desk.") == "put it on the desk"


def test_reported_steps(alfred) -> None:
    assert reported_step(" PutObject mug desk\n", alfred) == Step("PutObject", ("mug", "desk"))
    for text, message in [
        ("", "expected one action"),
        ("PickupObject mug; PutObject mug desk", "expected one action"),
        ("TakeObject mug", "no action"),
        ("PickupObject", "too few arguments"),
        ("PickupObject unicorn", "no class"),
    ]:
        with pytest.raises(GoalTextError, match=message):
            reported_step(text, alfred)
