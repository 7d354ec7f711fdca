"""Plans that are asked for in Chinese, named in Chinese, and read from Chinese."""

from __future__ import annotations

import pytest

from llava_ov_ros.asking import weighed
from llava_ov_ros.onevision import Generated
from llava_ov_ros.planning import (
    Hint,
    PlanOptions,
    Situation,
    VocabularyError,
    find_vocabulary,
    goal_text,
    load_vocabulary,
    make_plan,
    next_step_ask,
    plan_ask,
    read_next_step,
    read_plan,
    repair_prompt,
    split_line,
    validate,
)
from llava_ov_ros.planning.model.results import StepStream, read_plan_answer
from llava_ov_ros.questions.chinese import has_han
from llava_ov_ros.questions.prompts import find_prompts, load_prompts

ZH = load_prompts(find_prompts("zh"))
GOOD = "GotoLocation shelf; PickupObject mug; GotoLocation desk; PutObject mug desk"
SAID = "1、去架子旁。\n2、拿起马克杯。\n3、去书桌那里。\n4、把马克杯放到书桌上。"


def generated(text: str, finish: str = "stop") -> Generated:
    return Generated(text, (1,), (0.5,), finish, 9, 0.1, 0.2, end_probability=1.0)  # type: ignore[arg-type]


def test_everything_has_a_chinese_name(alfred) -> None:
    for vocabulary in (alfred, load_vocabulary(find_vocabulary("delivery"))):
        words = [*vocabulary.classes, *vocabulary.actions]
        names = [vocabulary.called(word, "zh") for word in words]
        assert all(name is not None and has_han(name) for name in names)
        assert len(set(names)) == len(names), "a name stands for one thing"


def test_every_class_is_read_by_its_chinese_name(alfred) -> None:
    for thing in alfred.choices(alfred.actions["GotoLocation"].arguments[0]):
        assert read_plan(f"去{alfred.called(thing, 'zh')}那里。", alfred).plan.line == f"GotoLocation {thing}"


def test_it_is_asked_for_in_chinese() -> None:
    delivery = load_vocabulary(find_vocabulary("delivery"))
    prompt = plan_ask("把包裹送到实验室。", delivery, ZH).prompt
    assert "主要目标：把包裹送到实验室。\n" in prompt
    assert "Load <item> (装载)\n" in prompt
    assert "<item>: parcel (包裹)、letter (信)\n" in prompt
    step = next_step_ask("把信送到大厅", split_line("Load letter").steps, delivery, ZH)
    assert "已完成的步骤：Load letter。" in step.prompt
    assert '"已完成"' in (step.grammar or "") and '"无法判断"' in (step.grammar or "")


def test_a_goals_full_stop_is_left_out_in_both_widths() -> None:
    assert goal_text(" 把杯子放到桌上。 ") == goal_text("把杯子放到桌上．") == "把杯子放到桌上"


def test_a_plan_from_goal_to_result(alfred) -> None:
    asked: list[str] = []

    def answers(asks, on_text):
        asked.extend(ask.prompt for ask in asks)
        return [answer(ask, on_text) for ask in asks]

    def answer(ask, on_text) -> Generated:
        if ask.choices is None:
            on_text(GOOD)
            return generated(GOOD)
        word = "否" if "马克杯" in ask.prompt else "是"
        choices = weighed(ask.choices, [-0.1 if one == word else -4.0 for one in ask.choices])
        return Generated(word, (1,), (0.5,), "stop", 9, 0.1, 0.2, choices=choices)

    result = make_plan("把马克杯放到书桌上", alfred, ZH, PlanOptions(), answers)
    assert result.accepted
    assert [step.number for step in result.steps if step.findings] == [2, 4]
    assert [text.partition("？")[0] for text in asked[1:]] == [
        f"画面中是否有{name}" for name in ("架子", "马克杯", "书桌")
    ], "without an article"


@pytest.mark.parametrize(
    ("text", "hint"), [("已完成", Hint.DONE), ("已完成。", Hint.DONE), ("无法判断！", Hint.CANNOT_TELL)]
)
def test_what_stands_for_no_step(alfred, text: str, hint: Hint) -> None:
    assert read_next_step(generated(text), Situation(), alfred, ZH, "free", 0.0).hint is hint


def test_free_text_is_read_and_streamed(alfred) -> None:
    result = read_plan_answer(generated(SAID), "x", alfred, ZH, "free")
    assert (result.validation.plan.line, result.unread) == (GOOD, ())
    stream, steps = StepStream(alfred, "free"), []
    for character in SAID.replace("\n", "；"):
        steps += stream.hear(character)
    assert [str(step.step) for step in steps] == GOOD.split("; ")[:3], "each as soon as its mark is there"


def test_what_was_cut_off_is_no_step(alfred) -> None:
    result = read_plan_answer(generated("去架子旁；拿起马克", "length"), "x", alfred, ZH, "free")
    assert (result.validation.plan.line, result.unread) == ("GotoLocation shelf", ("'拿起马克' was cut off",))


def test_a_correction_is_asked_for_in_chinese(alfred) -> None:
    validation = validate(split_line("PutObject mug desk; Dance"), alfred)
    lines = repair_prompt("把杯子放到桌上", validation, alfred, ZH.planning).splitlines()
    assert lines[:2] == ["目标：把杯子放到桌上", "这个计划行不通："]
    assert lines[2:4] == ["1. PutObject mug desk", "2. Dance"]
    assert lines[5:7] == ["- 第1步：手里没有拿着需要的东西", "- 第2步：没有这个动作"]
    assert lines[-1].startswith("请把改正后的完整计划写成一行")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("{zh: {unicorn: 独角兽}}", ":5: names.zh.unicorn: 'unicorn' is no class and no action"),
        ("{Chinese: {mug: 杯子}}", ":5: names.Chinese: 'Chinese' is no code of a language"),
        ("{zh: {mug: 红的杯}}", "'红的杯' would be read as"),
    ],
)
def test_names_that_cannot_be_used_are_named(tmp_path, names: str, message: str) -> None:
    file = tmp_path / "robot.yaml"
    actions = "actions: {Take: {arguments: {it: mug}}}\nlanguage: {ignore: [的]}"
    file.write_text(f"max_steps: 4\nclasses: {{mug: []}}\n{actions}\nnames: {names}\n")
    with pytest.raises(VocabularyError) as error:
        load_vocabulary(file)
    assert message in str(error.value)


def test_either_name_of_an_action_can_be_meant_where_one_begins_the_other(tmp_path) -> None:
    file = tmp_path / "robot.yaml"
    actions = "actions: {拿: {arguments: {物体: 杯子}}, Put: {arguments: {物体: 杯子}}}"
    file.write_text(
        f"max_steps: 4\nclasses: {{杯子: [], 起重机: []}}\n{actions}\nnames: {{zh: {{拿: 拿起, Put: 放}}}}\n"
    )
    robot = load_vocabulary(file)
    for text in ("拿起杯子", "拿杯子", "拿（杯子）", "拿起（物体：杯子）"):
        assert read_plan(text, robot).plan.line == "拿 杯子", text
    (skipped,) = read_plan("拿起盘子", robot).skipped
    assert skipped.detail == "'盘子' is no class of the vocabulary"


def test_a_description_cannot_hold_a_stop_of_several_characters(tmp_path) -> None:
    file = tmp_path / "robot.yaml"
    language = "language: {details: [靠近], stops: [除非]}"
    actions = 'actions: {Take: {arguments: {object: 杯子}, says: ["拿起 {object}"]}}'
    file.write_text(f"max_steps: 4\nclasses: {{杯子: []}}\n{actions}\n{language}\n")
    robot = load_vocabulary(file)
    assert read_plan("拿起杯子靠近非常除旧的门", robot).plan.line == "Take 杯子"
    assert read_plan("拿起杯子靠近门除非它是空的", robot).plan.line == ""


def test_a_vocabulary_of_chinese_words(tmp_path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(
        "max_steps: 4\nclasses: {杯子: [茶杯], 大厅: [], 实验室: []}\ngroups: {地方: [大厅, 实验室]}\nactions:\n"
        '  前往: {arguments: {目的: 地方}, effects: [{go_to: 目的}], says: ["(去|走到) {目的} [里]"]}\n'
        "  拿起: {arguments: {物体: 杯子}, effects: [{pick_up: 物体}]}\n"
    )
    robot = load_vocabulary(file)
    reading = read_plan("第一步：去大厅里。第二步：拿起茶杯；前往（目的：实验室）", robot)
    assert (reading.plan.line, reading.skipped) == ("前往 大厅; 拿起 杯子; 前往 实验室", ())
    assert validate(reading.plan, robot).accepted
