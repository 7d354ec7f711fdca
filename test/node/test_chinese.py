"""Questions, plans and hints in Chinese over the live node: asked in Chinese, and typed as in every language."""

from __future__ import annotations

import pytest
from llava_ov_ros.msg import ActionHint, Answer, AnswerChunk, Plan
from llava_ov_ros.srv import ReportStep, SetGoal

GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"


def says(text):
    return lambda *_: text


@pytest.mark.parametrize(
    ("said", "fields", "expected"),
    [
        ("是", {"kind": "yes_no"}, {"known": True, "yes": True, "text": "是"}),
        ("否", {"kind": "yes_no"}, {"known": True, "yes": False, "text": "否"}),
        ("无法判断", {"kind": "yes_no"}, {"known": False, "yes": False, "text": "无法判断"}),
        ("12", {"kind": "count"}, {"known": True, "count": 12}),
        ("B", {"kind": "choice", "choices": ["红色", "蓝色"]}, {"known": True, "text": "蓝色"}),
        ("C", {"kind": "choice", "choices": ["红色", "蓝色"]}, {"known": False, "text": "无法判断"}),
        ("无法判断。", {"kind": "phrase"}, {"known": False, "text": "无法判断。"}),
        ("红色的杯子", {"kind": "phrase"}, {"known": False, "text": "红色的杯子"}),
    ],
)
def test_values(rig, scripted, said, fields, expected):
    robot = rig(load=scripted(says(said)), prompts="zh")
    robot.feed()
    answer = robot.ask("桌子上有什么？", **fields)
    assert (answer.status, answer.question) == (Answer.OK, "桌子上有什么？")
    assert {name: getattr(answer, name) for name in expected} == expected


def test_what_the_model_is_asked(rig, scripted):
    asked = []

    def script(clips, question, on_text, should_stop):
        asked.append(question)
        return "是"

    robot = rig(load=scripted(script), prompts="zh")
    robot.feed()
    assert robot.ask("", kind="change").yes
    robot.ask("是哪一个？", kind="choice", choices=["红色", "蓝色"])
    assert asked[0].startswith("与视频开头相比，视频结尾的画面是否有变化？\n请只回答“是”或“否”。")
    assert asked[1] == "是哪一个？\nA. 红色\nB. 蓝色\nC. 无法判断\n请直接回答选项字母。"


def test_pieces_are_whole_characters_of_a_real_model(rig, nano):
    robot = rig(model=nano, prompts="zh", frozen_after_s=0.0)
    robot.feed()
    chunks = robot.listen(AnswerChunk, "answer_chunks")
    answer = robot.ask("桌子上有什么？", max_new_tokens=12)
    pieces = []
    while not pieces or not pieces[-1].done:
        pieces = chunks.wait_for_count(len(pieces) + 1)
    assert "".join(piece.text for piece in pieces) == answer.text
    typed = robot.ask("桌子上有几个杯子？", kind="count")
    assert typed.status == Answer.OK
    assert sum(choice.probability for choice in typed.choices) == pytest.approx(1)
    assert [choice.text for choice in typed.choices] == [*map(str, range(21)), "无法判断"]


def test_a_plan(rig, scripted):
    said = "1、去架子旁。\n2、拿起马克杯。\n3、去书桌。\n4、把马克杯放到书桌上。"
    robot = rig(
        load=scripted(lambda clips, question, *_: "是" if "是否" in question else said),
        prompts="zh",
        plan_decoding="free",
    )
    robot.feed()
    plan = robot.plan("把马克杯放到书桌上。")
    assert (plan.status, plan.outcome, plan.prompts) == (Answer.OK, Plan.ACCEPTED, "zh/2"), plan
    assert "; ".join(" ".join([step.action, *step.arguments]) for step in plan.steps) == GOOD


def test_from_goal_to_done(rig, scripted):
    def follower(clips, question, on_text, should_stop):
        return "GotoLocation shelf" if "已完成的步骤：无。" in question else "已完成"

    robot = rig(load=scripted(follower), prompts="zh", hint_period_s=0.05, hint_confidence=0.2)
    hints = robot.listen(ActionHint, "action_hint")
    robot.feed()
    assert robot.tell(SetGoal.Request(goal="去架子那里。")).message == "goal: 去架子那里"
    first = hints.wait()
    assert (first.goal, first.hint, first.action) == ("去架子那里", ActionHint.STEP, "GotoLocation")
    assert robot.tell(ReportStep.Request(step="GotoLocation shelf")).success
    assert hints.wait(lambda hint: hint.hint == ActionHint.DONE).action == ""
