"""A model whose numbers are not finite: refused at configure, or MODEL_ERROR on ask, plan and hint."""

from __future__ import annotations

from llava_ov_ros.msg import ActionHint, Answer, Plan
from llava_ov_ros.srv import SetGoal

REMEDY = "load it with dtype bfloat16 or float32"


def test_configure_refuses_a_model_that_does_not_fit_its_dtype(rig, too_wide_for_float16):
    robot = rig(active=False, model=str(too_wide_for_float16), dtype="float16", device="cpu")
    assert not robot.transition("configure")
    assert robot.state() == "unconfigured"
    status, _ = robot.diagnostic("model", lambda status, values: status.level == status.ERROR)
    assert "not finite in float16" in status.message
    assert REMEDY in status.message
    assert robot.set(dtype="float32").successful
    robot.start()
    robot.feed(count=1)
    assert robot.ask().status == Answer.OK


def test_one_word_is_a_model_error_on_ask_plan_and_hint(rig, mug_is_too_much):
    robot = rig(model=str(mug_is_too_much), dtype="float16", device="cpu", max_new_tokens=8)
    answers, hints = robot.listen(Answer, "answers"), robot.listen(ActionHint, "action_hint")
    robot.feed()
    for kind in ("", "yes_no", "count"):
        answer = robot.ask("What is the mug?", kind=kind)
        assert (answer.status, answer.confidence, answer.text) == (Answer.MODEL_ERROR, 0.0, "")
        assert "not finite in float16" in answer.message
        assert REMEDY in answer.message
        assert robot.ask("What is the pan?", kind=kind).status == Answer.OK
    plan = robot.plan("put the mug on the desk")
    assert (plan.status, plan.confidence, plan.steps) == (Answer.MODEL_ERROR, 0.0, [])
    assert plan.outcome != Plan.ACCEPTED
    assert robot.tell(SetGoal.Request(goal="put the mug on the desk")).success
    hint = hints.wait(lambda one: one.goal == "put the mug on the desk")
    assert (hint.hint, hint.status, hint.confidence) == (ActionHint.NONE, Answer.MODEL_ERROR, 0.0)
    assert REMEDY in hint.message
    assert answers.wait_for_count(6)
    status, _ = robot.diagnostic("model", lambda status, values: "not finite" in status.message)
    assert status.level != status.OK
