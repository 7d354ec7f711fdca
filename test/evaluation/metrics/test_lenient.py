"""Choices that answers name in whatever words."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.metrics import choice_lenient
from llava_ov_ros.evaluation.metrics.choices import chosen

SAY_B = [
    "B",
    "b",
    "(B)",
    "B.",
    "b.",
    "B)",
    "The answer is (B).",
    "**B**",
    "\\boxed{B}",
    "$\\boxed{\\text{B}}$",
    "Answer: B",
    "answer: **B**",
    "The answer is B",
    "The correct answer is B.",
    "The answer is: (b)",
    "B. the left one",
    "B: the left one",
    "(B) The mug is not on the table.",
    "Option B",
    "option (B)",
    "<answer>B</answer>",
    "I think the answer is B.",
    "I would choose B.",
    "B is correct.",
    "Option B is the correct answer.",
    "Option A shows a cat, option C a dog. The answer is (B).",
    "It's not A, so the answer is B.",
    "The final answer is $\\boxed{B}$.",
    "*B*",
    "`B`",
    "__B__",
    "[B]",
    "Answer: B. the left one",
    "The answer is B because it is red.",
    "(B) the left one",
    "The best choice is B",
    "Based on the picture, the answer is **(B)**.",
    "Answer: (B)\nThe mug is red.",
    "B\n",
    "\\(B\\)",
    "The answer is\nB.",
    "Final Answer: B",
    "The correct option is (B) the mug.",
    "So, it's B.",
]
# Another one, several, none, or words that only look like a letter.
DO_NOT_SAY_B = [
    "",
    "A",
    "(A)",
    "The answer is A or B.",
    "The answer is A, B",
    "The answer is either B or C",
    "A/B",
    "(A) or (B)",
    "The answer is not B.",
    "I don't think the answer is B.",
    "The answer is a mug.",
    "A mug is on the table.",
    "a B-shaped thing",
    "\\boxed{A} \\boxed{B}",
    "The answer is A. \\boxed{B}",
    "Both A and B",
    "I cannot tell",
    "Not B",
    "A. the left one\nB. the right one",
    "The answer is (A). No, the answer is (B).",
    "Bob",
    "The answer is Bob.",
    "be",
    "It could be (B) or (C).",
    "Plan B failed",
    "B and C",
    "B, C",
    "B or C",
    "I am not sure whether the answer is B.",
    "neither (B) nor (C)",
    "Option B is wrong.",
]
CHOICES = ["the red mug", "the blue mug", "a plate"]
# All that `chosen` reads, and what is said around it.
SAY_B_IN_CHINESE = [
    "Ｂ",
    "（B）",
    "B。",
    "选B",
    "我选择B。",
    "应该选B",
    "选（B）",
    "答案B",
    "答案是B。",
    "答案为B",
    "答案应该是B",
    "答案：“B”",
    "正确答案是（B）",
    "选项B",
    "B项",
    "选项B是正确的",
    "B是对的。",
    "B正确",
    "**B**，因为是红色的",
    "答案是B，因为杯子是红色的",
    "B。杯子是红的",
    "B：左边的",
    "最终答案是$\\boxed{B}$。",
    "不是A，答案是B",
    "选项A是猫，选项C是狗。答案是B。",
]
DO_NOT_SAY_B_IN_CHINESE = [
    "A和B",
    "A、B",
    "答案是A或B",
    "答案是A还是B",
    "选项A和选项B",
    "选A或者B",
    "A。左边\nB。右边",
    "答案是A。不，答案是B",
    "不选B",
    "答案不是B",
    "我不认为答案是B",
    "我不确定答案是不是B",
    "是否选B",
    "B不正确",
    "B是错的",
    "B座",
    "答案是B座大楼",
    "无法判断",
    "可能是（B）或（C）",
]
CHINESE_CHOICES = ["红色的杯子", "蓝色的杯子", "盘子"]


@pytest.mark.parametrize("text", [*SAY_B, *SAY_B_IN_CHINESE])
def test_a_letter_is_found_in_what_is_said_around_it(text):
    assert choice_lenient(text, "B") == 1
    assert choice_lenient(text, "C") == 0


@pytest.mark.parametrize("text", [*DO_NOT_SAY_B, *DO_NOT_SAY_B_IN_CHINESE])
def test_nothing_is_guessed(text):
    assert choice_lenient(text, "B") == 0


@pytest.mark.parametrize(
    "text", ["A", "a)", "The answer is a.", "The answer is A.", "A because it is red", "A. mug", "A is correct"]
)
def test_a_can_be_a_letter(text):
    assert choice_lenient(text, "A") == 1


@pytest.mark.parametrize("text", ["A mug", "A red mug is there.", "The answer is a mug", "a mug", "It is a mug."])
def test_a_can_be_an_article(text):
    assert choice_lenient(text, "A") == 0


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("The answer is the blue mug.", 1),
        ("**the blue mug**", 1),
        ("B", 1),
        ("The answer is (B) the blue mug.", 1),
        (r"\boxed{the blue mug}", 1),
        ("(B): the blue mug", 1),
        ("B. the red mug", 0),
        ("The answer is (A) the blue mug", 0),
        ("the red mug or the blue mug", 0),
        ("The answer is the red mug", 0),
        ("mug", 0),
        ("a plate", 0),
    ],
)
def test_the_words_of_choices_count_as_their_letters_do(text, right):
    assert choice_lenient(text, "the blue mug", CHOICES) == right
    assert choice_lenient(text, "B", CHOICES) == right


@pytest.mark.parametrize(
    "text",
    [
        *("蓝色的杯子", "蓝色的杯子。", "“蓝色的杯子”", "我选蓝色的杯子", "答案是蓝色的杯子。"),
        *("B、蓝色的杯子", "B．蓝色的杯子", "Ｂ：蓝色的杯子", "B蓝色的杯子"),
        *("Ｂ", "（B）", "选B", "答案是B。", "正确答案：B"),
    ],
)
def test_what_is_a_choice_in_chinese_for_the_strict_metric_is_one_here(text):
    assert chosen(text, CHINESE_CHOICES) == 1
    assert choice_lenient(text, "蓝色的杯子", CHINESE_CHOICES) == 1
    assert choice_lenient(text, "A", CHINESE_CHOICES) == 0


@pytest.mark.parametrize(
    "text", ["A、蓝色的杯子", "红色的杯子和蓝色的杯子", "杯子", "不是蓝色的杯子", "答案不是蓝色的杯子"]
)
def test_no_choice_is_guessed_in_chinese(text):
    for right in CHINESE_CHOICES:
        assert choice_lenient(text, right, CHINESE_CHOICES) == 0


def test_letters_can_be_choices_by_themselves():
    assert choice_lenient("The answer is B.", "B", ["B", "A"]) == 1
    assert choice_lenient("The answer is A.", "B", ["B", "A"]) == 0


def test_a_right_answer_in_words_without_choices():
    for text in ("red", "Red.", "The answer is red.", "**red**", r"\boxed{red}", "Answer: red"):
        assert choice_lenient(text, "red") == 1, text
    for text in ("blue", "The answer is blue. red", "not red", "The answer is red. The answer is blue.", ""):
        assert choice_lenient(text, "red") == 0, text


def test_a_right_answer_in_chinese_words_without_choices():
    for text in ("红色", "红色。", "“红色”", "答案是红色。", "答案：红色", "我选红色", "**红色**"):
        assert choice_lenient(text, "红色") == 1, text
    for text in ("蓝色", "答案不是红色", "答案是蓝色。红色", "不是红色"):
        assert choice_lenient(text, "红色") == 0, text
    assert choice_lenient("选手", "选手") == 1


def test_a_right_answer_that_is_no_choice_is_an_error():
    with pytest.raises(ValueError, match="the right answer is 'a fork', which is none of the choices the red mug, "):
        choice_lenient("B", "a fork", CHOICES)


def test_long_answers_are_read_whole():
    english = ("(a) ", "the answer is ", "not ", "**", "\\boxed{", "A or ", "\\text{")
    for piece in (*english, "选", "不", "答案", "选项A和", "“"):
        assert choice_lenient(piece * 3000, "B") == 0, piece
    assert choice_lenient("It is bright. " * 3000 + "The answer is (B).", "B") == 1
