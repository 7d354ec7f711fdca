"""Chinese numerals beside Unicode's values of digits and CLDR's rules for writing numbers."""

from __future__ import annotations

import unicodedata

import pytest

from llava_ov_ros.questions.chinese_numerals import DIGITS, MYRIADS, UNITS, numeral

# As CLDR writes them (rbnf/zh.xml, spellout-cardinal), and ways that people write them.
WRITTEN = [
    ("零", 0),
    ("〇", 0),
    ("一", 1),
    ("二", 2),
    ("两", 2),
    ("三", 3),
    ("十", 10),
    ("十二", 12),
    ("二十", 20),
    ("二十一", 21),
    ("九十九", 99),
    ("一百", 100),
    ("一百零五", 105),
    ("一百一十", 110),
    ("一百一十二", 112),
    ("一百五", 150),
    ("一千零一", 1001),
    ("一千零一十", 1010),
    ("两千三百", 2300),
    ("一万零五", 10005),
    ("两万三", 23000),
    ("十二万三千四百五十六", 123456),
    ("一亿零三万", 100030000),
    ("一万亿", 10**12),
    ("二〇二五", 2025),
    ("壹佰贰拾叁", 123),
    ("零" * 5000 + "三", 3),
    ("九百九十九万九千九百九十九亿九千九百九十九万九千九百九十九", 10**15 - 1),
]
NO_NUMERALS = [
    "",
    "两三",
    "一二",
    "几",
    "十几",
    "百",
    "千万",
    "十百",
    "一百零",
    "一一十",
    "三个",
    "3",
    "一 二",
    "二百百",
    "九" * 16,
    "九千万亿",
    "九" * 5000,
    "亿" * 5000,
    "三" + "万" * 5000,
]


def cldr(number: int) -> str:
    """A number from 0 to 99,999,999 by CLDR's rules: a zero for each gap, and 一十 where something stands before."""

    def below_myriad(value: int, leading: bool) -> str:
        text, gap = "", False
        for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit = value // unit % 10
            if digit:
                one_ten = unit == 10 and digit == 1 and not text and not leading
                text += ("零" if gap else "") + ("" if one_ten else "零一二三四五六七八九"[digit]) + name
                gap = False
            elif text or leading:
                gap = True
        return text

    if number == 0:
        return "零"
    many, rest = divmod(number, 10_000)
    if not many:
        return below_myriad(rest, leading=False)
    return below_myriad(many, leading=False) + "万" + (below_myriad(rest, leading=True) if rest else "")


@pytest.mark.parametrize(("text", "number"), WRITTEN, ids=[text[:20] for text, _ in WRITTEN])
def test_what_people_write(text: str, number: int) -> None:
    assert numeral(text) == number


def test_all_that_cldr_writes() -> None:
    numbers = [*range(11_000), *range(11_000, 100_000_000, 99_991)]
    assert [numeral(cldr(number)) for number in numbers] == numbers


def test_digits_and_units_have_unicodes_values() -> None:
    for character, value in {**DIGITS, **UNITS, **MYRIADS}.items():
        # Unicode leaves 两 out, which is a weight as well.
        assert character == "两" or unicodedata.numeric(character) == value


@pytest.mark.parametrize("text", NO_NUMERALS, ids=[text[:20] for text in NO_NUMERALS])
def test_what_is_no_one_number(text: str) -> None:
    assert numeral(text) is None
