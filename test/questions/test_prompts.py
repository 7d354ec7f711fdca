"""Sets of prompts: the shipped ones, and what a file must not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llava_ov_ros.planning import Reason
from llava_ov_ros.questions.chinese import has_han
from llava_ov_ros.questions.finding_codes import NOT_GIVEN_BACK
from llava_ov_ros.questions.prompts import LISTED, Kind, PromptsError, find_prompts, load_prompts
from llava_ov_ros.rooms.room_questions import CANNOT_TELL, NUMBERS

GOOD = """
version: 3
name: mine
yes_no: ["yes", "no"]
numbers: [none, one]
cannot_tell: unsure
change: Did anything move?
add: {count: " Count.", choice: " {choices}"}
"""


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_the_shipped_sets() -> None:
    plain, onevision = (load_prompts(find_prompts(name)) for name in ("plain", "llava_onevision"))
    assert plain.add == {}, "nothing is added for a model that was trained without"
    assert plain.yes_no == ("yes", "no")
    assert plain.numbers[: len(NUMBERS)] == NUMBERS
    assert plain.cannot_tell == CANNOT_TELL
    assert onevision.add[Kind.YES_NO] == "\nAnswer the question using a single word or phrase."
    assert LISTED in onevision.add[Kind.CHOICE]
    assert Kind.TEXT not in onevision.add
    assert onevision.yes_no == ("Yes", "No")
    assert onevision.numbers[:3] == ("0", "1", "2")
    assert onevision.cannot_tell is None
    assert (plain.identity, onevision.identity) == ("plain/2", "llava_onevision/3")
    alfred = load_prompts(find_prompts("alfred"))
    assert alfred.identity == "alfred/1"
    assert (alfred.add, alfred.yes_no, alfred.numbers) == (onevision.add, onevision.yes_no, onevision.numbers)
    assert [one.planning.shows_steps for one in (plain, onevision, alfred)] == [False, False, True]


def test_the_chinese_set() -> None:
    chinese = load_prompts(find_prompts("zh"))
    assert (chinese.identity, chinese.language) == ("zh/2", "zh")
    assert (chinese.yes_no, chinese.cannot_tell) == (("是", "否"), "无法判断")
    # As LLaVA asks for letters in Chinese (llava/eval/model_vqa_mmbench.py).
    assert chinese.add[Kind.CHOICE] == "\n{choices}\n请直接回答选项字母。"
    asked = [chinese.change, *chinese.add.values(), *chinese.planning.reasons.values()]
    asked += [text for key, text in vars(chinese.planning).items() if key not in ("reasons", "list_separator")]
    assert all(has_han(text) for text in asked if text), "nothing is asked in English"
    # What a planner or the judges say is not given back to a model, and these two are warnings.
    violations = set(Reason) - {Reason.NOT_SEEN, Reason.GOAL_ASSUMED} - set(NOT_GIVEN_BACK)
    assert set(chinese.planning.reasons) == violations, "every violation of a plan is told in Chinese"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    prompts = load_prompts(find_prompts(str(written(tmp_path, GOOD))))
    assert (prompts.name, prompts.version, prompts.cannot_tell) == ("mine", 3, "unsure")
    assert prompts.add == {Kind.COUNT: " Count.", Kind.CHOICE: " {choices}"}
    assert prompts.numbers == ("none", "one")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 3", "version: three", "version is 'three': it must be a whole number from 1"),
        ("version: 3", "version: 0", "version is 0"),
        ("version: 3", "version: true", "version is True"),
        ("version: 3\n", "", "version is missing"),
        ("version: 3", "version: 3\nplanning: go", "planning is 'go': it must be texts for plan, next_step"),
        ("version: 3", "version: 3\nplanning: {goal: x}", "planning.goal is not known: the keys are plan,"),
        ("version: 3", "version: 3\nplanning: {plan: Plan!}", "planning.plan must hold {goal}"),
        ("version: 3", "version: 3\nplanning: {next_step: '{goal}'}", "planning.next_step must hold {steps}"),
        ("version: 3", "version: 3\nplanning: {done: 'x {goal}'}", "planning.done holds {goal}: allowed are none"),
        ("version: 3", "version: 3\nplanning: {decompose: Steps!}", "planning.decompose must hold {goal}"),
        ("version: 3", "version: 3\nplanning: {presence: 1}", "planning.presence is 1: it must be a text"),
        ("version: 3", "version: 3\nplanning: {step: '{number}.'}", "planning.step must hold {step}"),
        ("version: 3", "version: 3\nplanning: {step: '{step}{goal}'}", "planning.step holds {goal}: allowed are"),
        (
            "version: 3",
            "version: 3\nplanning: {step: '{picture}{picture}{step}'}",
            "planning.step holds {picture} 2 times: once is enough",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {step: '{step}', no_steps: none}",
            "planning.no_steps has no use beside planning.step",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {step: '{picture}{step}'}",
            "planning.next_step must hold {steps} once and {now} behind it: steps have pictures",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {step: '{picture}{step}', next_step: '{goal}{now}{steps}'}",
            "planning.next_step must hold {steps} once and {now} behind it",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {next_step: '{now}{goal} {steps}'}",
            "planning.next_step begins with {now}",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {next_step: '{goal} {steps} {now} '}",
            "planning.next_step ends with {now}",
        ),
        (
            "version: 3",
            "version: 3\nplanning: {next_step: '{goal} {now} {steps} {now} ?'}",
            "planning.next_step holds {now} 2 times",
        ),
        ("version: 3", "version: 3\nplanning: {plan: '{goal}{now}'}", "planning.plan holds {now}: allowed are"),
        ("version: 3", "version: 3\nlanguage: Chinese", "language is 'Chinese': it must be a code of ISO 639"),
        ("version: 3", "version: 3\nlanguage: no", "language is False: it must be a code of ISO 639"),
        ("version: 3", "version: 3\nplanning: {reasons: {full: x}}", "planning.reasons.full is no code of a problem"),
        (
            "version: 3",
            "version: 3\nplanning: {reasons: {hand_full: 1}}",
            "planning.reasons.hand_full is 1: it must be",
        ),
        ("version: 3", "version: 3\nplanning: {repair: '{goal} {plan}'}", "planning.repair must hold {problems}"),
        ("name: mine", "name: other", "name is 'other': it must be that of the file, 'mine'"),
        ("name: mine", "name: mine\nnames: x", "names is not known: the keys are version"),
        ('["yes", "no"]', "[yes, no]", "yes_no[0] is True: it must be a text (YAML takes an unquoted yes"),
        ('["yes", "no"]', '["yes"]', "yes_no has 1 words"),
        ('["yes", "no"]', '["yes", "yes"]', "yes_no[1] is 'yes', which is there already"),
        ('["yes", "no"]', '"yes"', "yes_no is 'yes': it must be a list of words"),
        ("[none, one]", "[none, 1]", "numbers[1] is 1: it must be a text"),
        ("[none, one]", "[]", "numbers is []"),
        ("cannot_tell: unsure", 'cannot_tell: "no"', "cannot_tell is 'no', which is in yes_no too"),
        ("cannot_tell: unsure", 'cannot_tell: " "', "cannot_tell is blank"),
        ("change: Did anything move?", "change: 5", "change is 5"),
        ("count:", "counts:", "add.counts is no kind of question: the kinds are text, yes_no"),
        ('" Count."', '"{choices}"', "add.count lists {choices}: only questions of kind choice have them"),
        ('{count: " Count.", choice: " {choices}"}', "words", "add is 'words'"),
    ],
)
def test_errors_name_file_key_and_rule(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    file = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PromptsError, match=re.escape(f"{file}: {message}")):
        load_prompts(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(
        PromptsError, match=r"prompts 'plane': no file .*, and no shipped set \(alfred, llava_onevision, plain"
    ):
        find_prompts("plane")
    with pytest.raises(PromptsError, match="No such file"):
        load_prompts(tmp_path / "gone.yaml")
    with pytest.raises(PromptsError, match="not YAML"):
        load_prompts(written(tmp_path, "a: [1"))
    for value in ("9" * 5000, "2001-99-99", "!!timestamp now", "!!bool perhaps", "!!int ''"):
        with pytest.raises(PromptsError, match="not YAML"):
            load_prompts(written(tmp_path, f"version: {value}"))
    with pytest.raises(PromptsError, match="it is no set of prompts"):
        load_prompts(written(tmp_path, "- 1"))


def test_aliases_that_stand_for_more_than_memory_holds(tmp_path: Path) -> None:
    # 10 to the power of 12 words, which a message would have shown.
    lines = ["numbers: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join([*lines, "version: *a11"])
    with pytest.raises(PromptsError, match=r"mine\.yaml: its aliases repeat more than 100000 values"):
        load_prompts(written(tmp_path, bomb))
