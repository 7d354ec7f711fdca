"""Plans and hints with a certificate from a running node: who they are from, which judges accept them, and proofs."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from llava_ov_ros.msg import ActionHint, Answer, Plan
from llava_ov_ros.srv import NextStep, ReportStep, SetGoal

from llava_ov_ros import missing_module

needs_planner = pytest.mark.skipif(
    find_spec("up_fast_downward") is None, reason="the planner of the extra is not installed"
)
GOAL = "put the mug on the desk"
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
# So long that no slow machine ends a search.
PATIENT = {"deadline_s": 120.0, "plan_search_s": 60.0, "plan_grounding": False, "plan_repairs": 0}


@needs_planner
def test_plans(rig, scripted):
    said = [GOOD, "GotoLocation shelf; PickupObject mug", "cannot tell", GOOD]
    robot = rig(load=scripted(lambda *_: said.pop(0)), plan_decoding="certified", **PATIENT)
    robot.feed()
    own = robot.plan(GOAL)
    assert (own.outcome, own.source, own.conditions) == (Plan.ACCEPTED, Plan.MODEL, "in(mug, desk)")
    assert list(own.accepted_by) == ["simulation", "pddl"]
    other = robot.plan(GOAL)
    assert (other.status, other.outcome, other.source) == (Answer.OK, Plan.ACCEPTED, Plan.PLANNER)
    assert "; ".join(" ".join((step.action, *step.arguments)) for step in other.steps) == GOOD
    assert "stands for the model's: goal: no mug is put in or on the desk" in other.message
    proof = robot.plan("in(knife, desk); is(knife, heated)")
    assert (proof.outcome, list(proof.problem_codes)) == (Plan.REJECTED, ["cannot_be"])
    assert list(proof.problems) == ["there is no plan: no action brings knife into the state heated"]
    unread = robot.plan("make me happy")
    assert (unread.outcome, list(unread.problem_codes)) == (Plan.REJECTED, ["goal_unread"])


@needs_planner
def test_hints_from_the_goal_to_done(rig, scripted):
    """The model says DONE from the beginning, and is not believed."""
    robot = rig(
        load=scripted(lambda *_: "DONE"),
        plan_decoding="certified",
        hint_period_s=0.05,
        hint_confidence=0.2,
        **PATIENT,
    )
    hints = robot.listen(ActionHint, "action_hint")
    robot.feed()
    robot.tell(SetGoal.Request(goal=GOAL))
    done = []
    for step in GOOD.replace("shelf", "mug").split("; "):
        hint = hints.wait(lambda hint: list(hint.done) == done)
        assert (hint.hint, hint.source) == (ActionHint.STEP, ActionHint.PLANNER)
        assert " ".join((hint.action, *hint.arguments)) == step
        assert "the model says DONE" in hint.message and hint.confidence == 0
        if step.startswith("PickupObject"):
            asked = robot.tell(NextStep.Request()).hint
            assert (asked.action, asked.source) == ("PickupObject", ActionHint.PLANNER)
        assert robot.tell(ReportStep.Request(step=step)).success
        done.append(step)
    last = hints.wait(lambda hint: list(hint.done) == done)
    assert (last.hint, last.source) == (ActionHint.DONE, ActionHint.MODEL)
    robot.tell(SetGoal.Request(goal="in(sofa, desk)"))
    none = hints.wait(lambda hint: hint.goal == "in(sofa, desk)")
    assert (none.hint, none.source, none.action) == (ActionHint.UNSURE, ActionHint.PLANNER, "")
    assert list(none.reasons) == ["cannot_put"]


@pytest.mark.parametrize(
    ("parameters", "wants"),
    [
        ({"plan_decoding": "certified"}, "plan_decoding certified"),
        ({"plan_validators": ["simulation", "pddl"]}, "pddl"),
    ],
)
def test_without_the_extra_the_node_is_not_configured(rig, scripted, monkeypatch, parameters, wants):
    monkeypatch.setattr(missing_module, "find_spec", lambda name: None)
    robot = rig(load=scripted(lambda *_: GOOD), active=False, **parameters)
    assert not robot.transition("configure")
    fault = robot.live._fault
    assert wants in fault and "pip install 'unified-planning>=1.3,<1.4'" in fault


def test_a_request_without_the_extra_is_invalid(rig, scripted, monkeypatch):
    robot = rig(load=scripted(lambda *_: GOOD))
    monkeypatch.setattr(missing_module, "find_spec", lambda name: None)
    plan = robot.plan(GOAL, decoding="certified")
    assert plan.status == Answer.INVALID
    assert "up-fast-downward" in plan.message
