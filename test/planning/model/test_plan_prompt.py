"""How plans are asked for: rooms' own forms, texts that list the robot's actions, what the answer is held to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llava_ov_ros.frames import Frame
from llava_ov_ros.planning import (
    MOST_PICTURES,
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
from llava_ov_ros.questions.prompts import find_prompts, load_prompts
from llava_ov_ros.rooms.room_questions import DONE, goal_question, next_step_question

PLAIN, ONEVISION, ALFRED = (load_prompts(find_prompts(name)) for name in ("plain", "llava_onevision", "alfred"))
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
    assert "at most 24 steps" in prompt
    prompt = next_step_ask(GOAL, STEPS, alfred, ONEVISION).prompt
    assert "Step Details: GotoLocation shelf; PickupObject mug\n" in prompt


def pictures(count: int) -> tuple[Frame, ...]:
    return tuple(Frame("front", number, "optical", np.zeros((2, 2, 3), np.uint8)) for number in range(count))


def test_alfred_is_asked_as_published(alfred) -> None:
    first, second = pictures(2)
    ask = next_step_ask(f"{GOAL}.", STEPS, alfred, ALFRED, pictures=(first, second))
    assert ask.before == (
        f"Your Main Goal:  {GOAL}.  Step Details: ",
        first,
        "Step#1: GotoLocation shelf. ",
        second,
        "Step#2: PickupObject mug. ",
    )
    assert ask.prompt == " Current Step: "
    assert ask.grammar == next_step_ask(GOAL, STEPS, alfred, ONEVISION).grammar is not None
    begun = next_step_ask(GOAL, (), alfred, ALFRED, "free")
    assert begun.before == (f"Your Main Goal:  {GOAL}.  Step Details: ",)
    assert (begun.prompt, begun.grammar) == (" Current Step: ", None)


def test_steps_without_a_picture_are_text_and_pictures_are_bounded(alfred) -> None:
    seen = pictures(3)
    done = (*STEPS, *STEPS)
    # The first step was done before anybody looked, and at the third nothing was seen.
    ask = next_step_ask(GOAL, done, alfred, ALFRED, pictures=(seen[0], None, seen[2]))
    assert [part for part in ask.before if isinstance(part, Frame)] == [seen[0], seen[2]]
    assert ask.before[0].endswith("Step Details: Step#1: GotoLocation shelf. ")
    assert ask.before[2:] == (
        "Step#2: PickupObject mug. Step#3: GotoLocation shelf. ",
        seen[2],
        "Step#4: PickupObject mug. ",
    )
    many = pictures(MOST_PICTURES + 4)
    ask = next_step_ask(GOAL, STEPS * (len(many) // 2), alfred, ALFRED, pictures=many)
    assert [part for part in ask.before if isinstance(part, Frame)] == list(many[4:])
    assert "Step#4: PickupObject mug. " in ask.before[0] and "Step#5" not in ask.before[0]


def test_other_sets_show_no_pictures(alfred) -> None:
    for prompts in (PLAIN, ONEVISION):
        ask = next_step_ask(GOAL, STEPS, alfred, prompts, pictures=pictures(2))
        assert ask == next_step_ask(GOAL, STEPS, alfred, prompts)
        assert ask.before == ()


def test_the_view_of_now_can_stand_among_texts_without_pictures_of_steps(alfred) -> None:
    planning = replace(PLAIN.planning, next_step="Goal {goal}, {steps}:{now}Next {steps}?", step="({number}) {step} ")
    ask = next_step_ask(GOAL, STEPS, alfred, replace(PLAIN, planning=planning), pictures=pictures(2))
    told = "(1) GotoLocation shelf (2) PickupObject mug "
    assert (ask.before, ask.prompt) == ((f"Goal {GOAL}, {told}:",), f"Next {told}?")


def test_braces_in_a_goal_are_text(alfred) -> None:
    assert plan_ask("put {words} and {goal} away", alfred, PLAIN).prompt == ("Goal: put {words} and {goal} away. Plan?")


def test_what_answers_are_held_to(alfred) -> None:
    whole, step = plan_ask(GOAL, alfred, PLAIN), next_step_ask(GOAL, STEPS, alfred, PLAIN)
    assert whole.grammar is not None and '"cannot tell"' in whole.grammar and '"DONE"' not in whole.grammar
    assert '"NoOp"' in whole.grammar and "{0,23}" in whole.grammar
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
