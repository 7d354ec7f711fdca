"""Certified plans and hints: the model's where both judges accept it, else the planner's, else why there is none."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest

from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import (
    Hint,
    NextStep,
    PlanOptions,
    Reason,
    Report,
    Situation,
    StepOutcome,
    StepSource,
    certified_hint,
    doubt_about,
    make_plan,
    read_goal,
    split_line,
    validate,
)
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

pytestmark = pytest.mark.skipif(
    find_spec("up_fast_downward") is None, reason="the planner of the extra is not installed"
)
PLAIN = load_prompts(find_prompts("plain"))
GOAL = "put the mug on the desk"
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
ELSEWHERE = "GotoLocation shelf; PickupObject mug; GotoLocation bed; PutObject mug bed"
BOTH = ("simulation", "pddl")


def planned(alfred, *texts, goal=GOAL, steps=None, **options):
    left, asked = list(texts), []

    def answers(asks, on_text):
        asked.extend(ask.prompt for ask in asks)
        return [Generated(left.pop(0), (1,), (0.5,), "stop", 9, 0.1, 0.2, end_probability=1.0) for _ in asks]

    options = {"decoding": "certified", "repairs": 0, "grounding": False, "search_s": 60.0, **options}
    said = [] if steps is None else steps
    result = make_plan(
        goal,
        alfred,
        PLAIN,
        PlanOptions(**options),
        answers,
        on_step=lambda number, one: said.append((number, one.step)),
    )
    return result, asked


def test_a_plan_of_the_model_that_both_judges_accept_stays(alfred):
    result, _ = planned(alfred, GOOD)
    assert (result.accepted, result.source, result.accepted_by) == (True, StepSource.MODEL, BOTH)
    assert (result.wanted, result.remarks) == (read_goal(GOAL, alfred), ())


def test_a_plan_that_misses_the_goal_is_given_back_and_then_the_planner_plans(alfred):
    steps = []
    result, asked = planned(alfred, ELSEWHERE, ELSEWHERE, repairs=1, steps=steps)
    assert "no mug is put in or on the desk" in asked[1]
    assert (result.accepted, result.source, result.accepted_by, result.repairs) == (True, StepSource.PLANNER, BOTH, 1)
    # The mug is where the model's plan picks it up.
    assert result.validation.plan.line == GOOD
    assert [str(step) for number, step in steps if number == 2] == GOOD.split("; ")
    assert "no mug is put in or on the desk" in result.remarks[0] and result.text == ELSEWHERE


def test_the_planner_plans_where_the_model_cannot_tell(alfred):
    result, _ = planned(alfred, "cannot tell")
    assert (result.accepted, result.source, result.cannot_tell) == (True, StepSource.PLANNER, False)


def test_a_proof_is_told(alfred):
    result, _ = planned(alfred, "cannot tell", goal="in(knife, desk); is(knife, heated)")
    assert (result.accepted, result.cannot_tell, result.source) == (False, False, StepSource.MODEL)
    (finding,) = result.of_the_whole[-1:]
    assert finding.reason is Reason.CANNOT_BE
    assert finding.text == "there is no plan: no action brings knife into the state heated"


def test_a_goal_that_is_not_read_is_never_certified(alfred):
    result, _ = planned(alfred, GOOD, goal="make me happy")
    assert (result.accepted, result.accepted_by) == (False, BOTH)
    assert [finding.reason for finding in result.of_the_whole] == [Reason.GOAL_UNREAD]


def test_judges_are_named_and_a_disagreement_is_no_acceptance(alfred, monkeypatch):
    only, _ = planned(alfred, GOOD, decoding="constrained")
    assert (only.accepted, only.accepted_by) == (True, ("simulation",))
    both, _ = planned(alfred, GOOD, decoding="constrained", validators=BOTH)
    assert (both.accepted, both.accepted_by) == (True, BOTH)
    from llava_ov_ros.planning import pddl

    monkeypatch.setattr(pddl, "pddl_verdict", lambda *_: pddl.PddlVerdict(False, "the goal does not hold"))
    split, _ = planned(alfred, GOOD, decoding="constrained", validators=BOTH)
    assert (split.accepted, split.accepted_by) == (False, ("simulation",))
    assert split.of_the_whole[0].reason is Reason.JUDGES_DISAGREE
    assert "PDDL does not: the goal does not hold" in split.of_the_whole[0].text


def reported(vocabulary, line):
    """The situation after steps, each `+` done, `-` failed or `~` undone."""
    situation = Situation()
    signs = {"+": StepOutcome.DONE, "-": StepOutcome.FAILED, "~": StepOutcome.UNDONE}
    for text in filter(None, line.split("; ")):
        (step,) = split_line(text[1:]).steps
        situation, _ = situation.after(Report(step, signs[text[0]]), vocabulary)
    return situation


def answer(vocabulary, situation, text):
    if text in ("DONE", "cannot tell", "unsure"):
        hint = {"DONE": Hint.DONE, "cannot tell": Hint.CANNOT_TELL, "unsure": Hint.UNSURE}[text]
        return NextStep(hint, None, (), 0.9, text)
    plan = split_line(text)
    findings = validate(plan, vocabulary, start=situation.worlds).of_step(1)
    return NextStep(Hint.STEP, plan.steps[0], findings, 0.9, text)


@pytest.mark.parametrize(
    ("done", "text", "doubt", "instead"),
    [
        ("", "GotoLocation shelf", "", "GotoLocation shelf"),
        ("+GotoLocation shelf", "PickupObject mug", "", "PickupObject mug"),
        ("+GotoLocation shelf; +PickupObject mug", "DONE", "does not hold", "GotoLocation desk"),
        ("+GotoLocation shelf; +PickupObject mug", "GotoLocation shelf", "changes nothing", "GotoLocation desk"),
        ("+GotoLocation shelf; +PickupObject mug", "PickupObject cup", "no hand is free", "GotoLocation desk"),
        ("+GotoLocation shelf; +PickupObject mug", "cannot tell", "cannot tell", "GotoLocation desk"),
        ("+GotoLocation shelf; +PickupObject mug; +GotoLocation desk", "unsure", "not sure", "PutObject mug desk"),
        ("+GotoLocation shelf; -PickupObject mug", "unsure", "not sure", "GotoLocation mug"),
        ("+PickupObject mug; +GotoLocation desk; +PutObject mug desk", "DONE", "", "DONE"),
        ("+PickupObject mug; +GotoLocation desk; +PutObject mug desk", "GotoLocation bed", "the goal holds", "DONE"),
        ("+PickupObject mug; +GotoLocation desk; +PutObject mug desk; ~PutObject mug desk", "DONE", "not hold", "Goto"),
    ],
)
def test_hints(done, text, doubt, instead, alfred):
    situation, goal = reported(alfred, done), read_goal(GOAL, alfred)
    said = answer(alfred, situation, text)
    found = doubt_about(said, goal, situation, alfred)
    assert (doubt in found) if doubt else not found
    hint = certified_hint(said, goal, situation, alfred, time.monotonic() + 60.0)
    assert (hint.source is StepSource.PLANNER) == bool(doubt)
    assert (hint.hint is Hint.DONE) == (instead == "DONE")
    assert instead == "DONE" or str(hint.step).startswith(instead)
    assert not doubt or (hint.confidence, hint.unread) == (0.0, (found,))


def test_a_hint_that_undoes_the_goal_is_none(alfred):
    lit = reported(alfred, "+GotoLocation desklamp; +ToggleObject desklamp")
    goal = read_goal("look at the book under the desk lamp", alfred)
    said = answer(alfred, lit, "ToggleObject desklamp")
    assert "undoes what the goal asks for" in doubt_about(said, goal, lit, alfred)


@pytest.mark.parametrize(
    ("done", "text", "instead"),
    [
        # It can be done, and the mug would have to be picked up again.
        ("+GotoLocation shelf; +PickupObject mug", "PutObject mug shelf", "GotoLocation desk"),
        # Another thing in the only hand.
        ("+GotoLocation shelf", "PickupObject cup", "GotoLocation mug"),
        # Back to where the robot has been, for nothing.
        ("+GotoLocation shelf; +PickupObject mug; +GotoLocation bed", "GotoLocation shelf", "GotoLocation desk"),
        # To a place where the model sees the mug, though no report says so.
        ("", "GotoLocation bed", None),
        # What was dropped lies where it was picked up.
        ("+GotoLocation shelf; +PickupObject mug; ~PickupObject mug", "unsure", "PickupObject mug"),
        # It is not there either: look for the thing.
        ("+GotoLocation shelf; +PickupObject mug; ~PickupObject mug; -PickupObject mug", "unsure", "GotoLocation mug"),
        # Where three ways around have failed as well, the step is worth another try.
        (
            "+GotoLocation bed; +PickupObject mug; +GotoLocation desk; "
            "-PutObject mug desk; -GotoLocation bed; -GotoLocation shelf; -GotoLocation sofa",
            "unsure",
            "PutObject mug desk",
        ),
        # Another way after a failure, and one to a place that is there; nobody goes to what is in the hand.
        ("+GotoLocation bed; +PickupObject mug; +GotoLocation desk; -PutObject mug desk", "unsure", "GotoLocation bed"),
    ],
)
def test_a_hint_leads_to_the_goal(done, text, instead, alfred):
    situation, goal = reported(alfred, done), read_goal(GOAL, alfred)
    said = answer(alfred, situation, text)
    hint = certified_hint(said, goal, situation, alfred, time.monotonic() + 60.0)
    assert (str(hint.step), hint.source) == (
        (text, StepSource.MODEL) if instead is None else (instead, StepSource.PLANNER)
    )
    if instead and text != "unsure":
        assert not doubt_about(said, goal, situation, alfred), "it can be done"
        assert "leads away from the goal" in hint.unread[0]


def test_a_hint_where_there_is_no_plan(alfred):
    goal = read_goal("in(sofa, desk)", alfred)
    hint = certified_hint(answer(alfred, Situation(), "DONE"), goal, Situation(), alfred, time.monotonic() + 60.0)
    assert (hint.hint, hint.step, hint.source) == (Hint.UNSURE, None, StepSource.PLANNER)
    assert [finding.reason for finding in hint.findings] == [Reason.CANNOT_PUT]
