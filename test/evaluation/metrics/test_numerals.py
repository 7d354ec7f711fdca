"""How many a text says there are."""

from __future__ import annotations

import pytest

from llava_ov_ros.evaluation.metrics.numerals import number_in

# Number words as dictionaries of English spell them (with and without `and`, which British English puts there).
WORDS = [
    ("zero", 0),
    ("three", 3),
    ("Three.", 3),
    ("twenty", 20),
    ("thirty", 30),
    ("twenty-one", 21),
    ("twenty one", 21),
    ("Twenty\u2011one chairs", 21),
    ("ninety-nine", 99),
    ("a hundred", 100),
    ("one hundred five", 105),
    ("one hundred and five", 105),
    ("two hundred and three chairs", 203),
    ("three hundred and sixty-five days", 365),
    ("twelve hundred", 1200),
    ("ten thousand", 10_000),
    ("two thousand, three hundred and four", 2304),
    ("two hundred thousand", 200_000),
    ("nine hundred ninety-nine thousand nine hundred and ninety-nine", 999_999),
    ("one million two hundred thousand and six", 1_200_006),
    ("a dozen", 12),
    ("two dozen eggs", 24),
    ("half a dozen", 6),
]
DIGITS = [
    ("3", 3),
    ("(3)", 3),
    ("3.", 3),
    ("3...", 3),
    ("Answer: 4", 4),
    ("There are 12 chairs", 12),
    ("1,000", 1000),
    ("5,000.", 5000),
    ("12,345,678 things", 12_345_678),
    ("2\u202f000", 2000),
    ("2 thousand", 2000),
    ("3, 4", 3),
    ("five (5)", 5),
    ("\u0663", 3),
    ("１２", 12),
    ("４", 4),
    ("四", 4),
    ("4个", 4),
    ("0" * 5000 + "7", 7),
]
SIGNS = [
    ("-2", -2),
    ("\u22122", -2),
    ("minus 2", -2),
    ("minus two", -2),
    ("negative twenty-one", -21),
    ("+2", 2),
    ("- 2 chairs", 2),
]
NONE = [
    ("none", 0),
    ("No chairs", 0),
    ("No.", 0),
    ("no one", 0),
    ("No, there are three.", 3),
    ("No idea", None),
    ("no more than three", None),
]
FIRST = [
    ("two or three", 2),
    ("3 chairs and 4 tables", 3),
    ("twenty and five", 20),
    ("two thousand, three of them red", 2000),
]
# Ordinals and names count nothing, and a count may stand behind them.
PASSED_OVER = [
    ("twenty-first", None),
    ("the 21st", None),
    ("one hundred fifth", None),
    ("The first room has three chairs", 3),
    ("the 2nd of 5", 5),
    ("x3", None),
    ("mug-2 and 3 cups", 3),
    ("a 3D picture of two chairs", 2),
    ("someone", None),
]
# A part of these would be another number.
UNREADABLE = [
    "",
    "many",
    "dozens",
    "hundreds of chairs, 3 tables",
    "3.5",
    "1,5",
    "3,4",
    "1,2,3",
    "2 000",
    "1.5 million",
    "three point five",
    "40%",
    "40 %",
    "forty percent",
    "$5",
    "#3",
    "2k",
    "1e5",
    "10:30",
    "3/4",
    "one half",
    "two thirds",
    "one and a half",
    "2-3",
    "2\u20133",
    "10 - 12 chairs",
    "two-three",
    "2 + 3 = 5",
    "ten minus two",
    "nineteen eighty-four",
    "one two three",
    "20 one",
    "hundred",
    "fourty",
    "１½",
    "10²",
    "9" * 16,
    "9" * 5000,
]


@pytest.mark.parametrize(("text", "number"), [*WORDS, *DIGITS, *SIGNS, *NONE, *FIRST, *PASSED_OVER])
def test_number_in(text, number):
    assert number_in(text) == number


@pytest.mark.parametrize("text", UNREADABLE)
def test_no_count_is_read_as_another_number(text):
    assert number_in(text) is None


def in_words(number):
    """A number below a million in words, put together from Merriam-Webster's rules for cardinal numbers."""
    ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    small = (ones + "seventeen eighteen nineteen").split()
    if number < 20:
        return small[number]
    if number < 100:
        tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"][number // 10 - 2]
        return tens + (f"-{small[number % 10]}" if number % 10 else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = number % unit
    return f"{in_words(number // unit)} {name}" + (f" {'and ' * (rest < 100)}{in_words(rest)}" if rest else "")


def test_every_number_is_read_from_its_words():
    for number in [*range(1300), *range(1300, 1_000_000, 4999), 999_999]:
        words = in_words(number)
        assert number_in(words) == number, words
        assert number_in(f"There are {words.replace('-', ' ')} of them.") == number, words
