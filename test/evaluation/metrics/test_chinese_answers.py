"""Short answers in Chinese: yes or no with all its negations, and how many."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.metrics import choice, count, yes_no
from llava_ov_ros.evaluation.metrics.chinese_answers import number_told, yes_or_no
from llava_ov_ros.evaluation.metrics.choices import chosen
from llava_ov_ros.evaluation.metrics.numerals import number_in

YES = [
    "是",
    "是的。",
    "是的，门开着",
    "对",
    "对的",
    "有",
    "有的",
    "有一个杯子",
    "没错",
    "不错",
    "正确",
    "可以",
    "存在",
    "当然",
    "当然是",
    "答案：是",
    "“是”",
    "（是）",
    "嗯",
]
NO = [
    "否",
    "不是",
    "不是的。",
    "没有",
    "没有。",
    "没有杯子",
    "不对",
    "不",
    "不，门关着",
    "不在",
    "不存在",
    "不可能",
    "没看到",
    "没有看到",
    "無",
    "无",
    "错",
    "错误",
    "并没有",
    "并不是",
]
NO += ["确实没有", "当然不是", "答案是否", "答案：不是", "不能", "不会", "未发现", "是没有"]
NEITHER = [
    "",
    "无法判断",
    "不确定",
    "不知道",
    "看不清",
    "没看清",
    "可能是",
    "好像有",
    "是不是",
    "是否",
    "有没有",
    "对不起，看不清",
    "否则",
    "不过",
    "不同",
    "有可能",
    "红色",
    "会议室",
    "２",
]
# text, number
NUMBERS = [
    ("三", 3),
    ("三个", 3),
    ("有三个杯子。", 3),
    ("桌上有十二把椅子和三张桌子", 12),
    ("两个", 2),
    ("二十一本书", 21),
    ("一百零五", 105),
    ("４个", 4),
    ("有4个", 4),
    ("共５张。", 5),
    ("1,000个", 1000),
    ("3万人", 30000),
    ("答案：４", 4),
    ("没有", 0),
    ("没有杯子", 0),
    ("没有一个人", 0),
    ("一个也没有", 0),
    ("一张椅子都没有", 0),
    ("零个", 0),
    ("没有三个，只有两个", 2),
    ("第一张图有两个", 2),
    ("负二", -2),
    ("3.5个", None),
    ("两三个", None),
    ("十几个", None),
    ("二十多个", None),
    ("数十个", None),
    ("几个", None),
    ("有一些杯子", None),
    ("一起", None),
    ("万一", None),
    ("第三个", None),
    ("三分之一", None),
    ("同一个", None),
    ("无线鼠标", None),
    ("无法判断，可能有三个", None),
    ("没有足够的信息", None),
    ("3D图里有两个", 2),
    ("3号房间有两个", 2),
    ("一个半圆形的桌子", 1),
    ("从1到3号房间有两个", None),
    ("3-5个", None),
    ("3～5个", None),
    ("三到五个", None),
    ("3至5个", None),
    ("40%的杯子", None),
    ("有４０％", None),
    ("3/4的桌子", None),
    ("10：30", None),
    ("三点五个", None),
    ("2k个", None),
    ("1½个", None),
    ("10²个", None),
    ("两个半", None),
    ("9" * 15 + "个", 10**15 - 1),
    ("0" * 5000 + "3个", 3),
    ("9" * 16 + "个", None),
    ("9" * 15 + "万", None),
    ("9" * 5000 + "个", None),
    ("9" * 5000 + "万", None),
    ("九" * 5000, None),
    ("亿" * 5000, None),
    ("三" + "万" * 5000, None),
    ("3" + "万" * 5000, None),
]
CHOICES = ["红色的杯子", "蓝色的杯子", "盘子"]
# text, index of the choice
CHOSEN = [
    ("红色的杯子", 0),
    ("红色的杯子。", 0),
    ("“蓝色的杯子”", 1),
    ("B", 1),
    ("Ｂ", 1),
    ("（B）", 1),
    ("B。", 1),
    ("B、蓝色的杯子", 1),
    ("B．蓝色的杯子", 1),
    ("Ｂ：蓝色的杯子", 1),
    ("选B", 1),
    ("答案是B。", 1),
    ("正确答案：C", 2),
    ("答案是盘子", 2),
    ("A、蓝色的杯子", None),
    ("A和B", None),
    ("A、B", None),
    ("红色的杯子、盘子", None),
    ("红色的杯子和盘子", None),
    ("杯子", None),
    ("不是盘子", None),
]


@pytest.mark.parametrize(
    ("text", "says"), [(t, True) for t in YES] + [(t, False) for t in NO] + [(t, None) for t in NEITHER]
)
def test_yes_or_no(text: str, says: bool | None) -> None:
    assert yes_or_no(text) is says
    for gold, right in (("是", True), ("yes", True), ("否", False), ("不是", False), ("No.", False)):
        assert yes_no(text, gold) == float(says is right)


def test_an_answer_in_english_is_read_as_mme_reads_it() -> None:
    assert yes_no("Yes，是的", "是") == yes_no("no，没有", "否") == 1
    assert yes_no("I think yes", "是") == 0
    with pytest.raises(ValueError, match="the right answer is '不确定': expected yes or no, or 是 or 否"):
        yes_no("是", "不确定")


@pytest.mark.parametrize(("text", "number"), NUMBERS, ids=[text[:20] for text, _ in NUMBERS])
def test_number_told(text: str, number: int | None) -> None:
    assert number_told(text) == number_in(text) == number


def test_count() -> None:
    assert count("画面里有三个杯子", "3") == count("三", "三个") == count("１２", "十二") == 1
    assert count("画面里有一些杯子", "1") == count("两三个", "2") == 0


@pytest.mark.parametrize(("text", "index"), CHOSEN)
def test_chosen(text: str, index: int | None) -> None:
    assert chosen(text, CHOICES) == index


def test_choices_that_begin_like_labels_are_found_by_their_words() -> None:
    assert choice("选手", "选手", ["选手", "教练"]) == 1
    assert choice("红色。", "红色", ["红色", "蓝色"]) == 1
