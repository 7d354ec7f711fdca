"""Reads the count in a text from digits, signs and English number words; chinese_answers.py reads Chinese.

An expression that cannot be a count (a decimal, a percentage, a range, number words that do not go together) makes the
text unreadable. No part of such an expression is ever read as another number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...bounds import MOST_DIGITS
from ...questions.chinese import has_han, narrowed
from .chinese_answers import number_told

_SMALL = {
    word: number
    for number, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
            *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
        )
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
# After a number or `a`; `half a dozen` is read by itself.
_TIMES = {"hundred": 100, "dozen": 12, **_SCALES}
_ORDINALS = frozenset(
    (
        *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
        *("twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
        *("twentieth", "thirtieth", "fortieth", "fiftieth", "sixtieth", "seventieth", "eightieth", "ninetieth"),
        *("hundredth", "thousandth", "millionth"),
    )
)
_SHARES = frozenset(["half", "halves", "quarter", "quarters", "percent", "point"]) | {f"{word}s" for word in _ORDINALS}
_VAGUE = frozenset(["dozens", "hundreds", "thousands", "millions", "billions"])
# `no idea` is not 0, and `no more than three` is not a number.
_NO_NUMBER = frozenset(["idea", "clue", "way", "doubt", "answer"])
_NO_BOUND = frozenset(["more", "fewer", "less", "other"])
_NEGATIVE = frozenset(("minus", "negative"))
_MINUS = "-\u2212\u2012\u2013"

_HYPHEN = "-\u2010\u2011"
_TOKEN = re.compile(
    # Digits with all that belongs to them; only narrow and non-breaking blanks separate thousands.
    r"(?P<digits>[$€£#]?(?:(?<![\w.,])|(?<=[$€£#]))\d[\d.,:/\u00a0\u2009\u202f]*(?<=\d)(?P<unit>[^\W\d_]+|[%°‰])?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)|(?P<name>\w+)|(?P<mark>[^\w\s])"
)
_GROUPS = re.compile(r"\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+")
_ORDINAL_UNIT = frozenset(("st", "nd", "rd", "th"))


@dataclass(frozen=True)
class _Token:
    """A word, number or mark in lower case.

    Attributes:
        kind: digits, word, name (letters and digits) or mark.
        text: The text of the token.
        unit: The letters or sign that follow digits without a blank.
        joined: Whether the token follows the one before without a blank.
    """

    kind: str
    text: str
    unit: str
    joined: bool


def number_in(text: str) -> int | None:
    """Read the first count in a text: `3`, `2,000`, `twenty-one`, `one hundred and five`, `minus 2`, `a dozen`.

    `no` and `none` are 0, unless `no` only begins an answer that has a number (`No, there are three`). Ordinals such as
    `21st` and `twenty-first`, and names such as `x3`, are skipped. Digits and marks may be full-width. A text with a
    Han character is read by `chinese_answers.number_told`.

    Returns:
        The count. None if the text has no number, or if its first number cannot be a count: `3.5`, `40%`, `2-3`,
        `two thirds`, `nineteen eighty`, `dozens`, `2k`, a number of more than MOST_DIGITS digits.
    """
    if has_han(text):
        return number_told(text)
    tokens = list(_tokens(narrowed(text)))
    otherwise: int | None = None
    place = 0
    while place < len(tokens):
        token = tokens[place]
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        if token.text in _VAGUE or (token.text in ("half", "halves") and not _is_half_dozen(tokens, place)):
            return None
        if token.text == "none":
            return 0
        if token.text == "no":
            if after is not None and after.text in _NO_BOUND:
                return None
            if after is not None and after.kind == "mark":
                otherwise = 0
            elif after is None or after.text not in _NO_NUMBER:
                return 0
        found = None if _is_in_a_name(tokens, place) else _number_at(tokens, place)
        if found is None:
            place += 1
            continue
        value, place = found
        if value is not _ORDINAL:
            return value if isinstance(value, int) else None
    return otherwise


def _tokens(text: str) -> Iterator[_Token]:
    end = 0
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup if found.lastgroup != "unit" else "digits")
        yield _Token(kind, found.group().lower(), (found["unit"] or "").lower(), found.start() == end)
        end = found.end()


class _Said:
    """Number words that are not a count."""


_ORDINAL = _Said()
_UNREADABLE = _Said()


def _is_half_dozen(tokens: list[_Token], place: int) -> bool:
    return [token.text for token in tokens[place + 1 : place + 3]] == ["a", "dozen"]


def _is_in_a_name(tokens: list[_Token], place: int) -> bool:
    """Whether a hyphen joins a token to the word before, as in `mug-2`."""
    if place < 2 or tokens[place - 1].text not in _HYPHEN:
        return False
    return tokens[place].joined and tokens[place - 1].joined and tokens[place - 2].kind != "mark"


def _number_at(tokens: list[_Token], start: int) -> tuple[int | _Said, int] | None:
    """Read the number that begins at a token; return it and the place after it, or None if no number begins there."""
    place, negative = start, False
    first = tokens[place]
    if first.text in _NEGATIVE or (first.text in _MINUS and first.kind == "mark"):
        follows = place + 1 < len(tokens) and (first.kind == "word" or tokens[place + 1].joined)
        # In `mug-2` and `2-3` the hyphen is not a minus sign; `- 2 chairs` is an item of a list.
        if not follows or (first.joined and start > 0 and tokens[start - 1].kind != "mark"):
            return None
        place, negative = place + 1, True
    if tokens[place].text == "half":
        read: tuple[int | _Said, int] | None = (6, place + 3)
    else:
        read = _plain(tokens, place)
    if read is None:
        return None
    value, place = read
    if isinstance(value, int) and not _ends_there(tokens, place):
        value = _UNREADABLE
    return (-value if negative and isinstance(value, int) else value), place


def _ends_there(tokens: list[_Token], place: int) -> bool:
    """Whether a number ends before a place, and does not go on as another number, a share or a range."""
    if place >= len(tokens):
        return True
    token = tokens[place]
    if token.text in _SHARES or token.text in _VAGUE or (token.kind == "mark" and token.text in "%°‰"):
        return False
    if _plain(tokens, place) is not None and token.text not in ("a", "an"):
        return False
    following = tokens[place + 1] if place + 1 < len(tokens) else None
    if following is None:
        return True
    if token.text == "and":
        # `one and a half`
        return [one.text for one in tokens[place + 1 : place + 3]] not in (["a", "half"], ["a", "quarter"])
    operator = (token.kind == "mark" and token.text in f"{_MINUS}+×*/=÷^~") or token.text in ("minus", "plus", "times")
    return not (operator and _plain(tokens, place + 1) is not None)


def _plain(tokens: list[_Token], start: int) -> tuple[int | _Said, int] | None:
    """Read a number without its sign; return it and the place after it, or None if no number begins there."""
    token = tokens[start]
    if token.kind == "digits":
        value = _digits(token)
        after = start + 1
        if isinstance(value, int) and after < len(tokens) and tokens[after].text in _TIMES:
            return _scaled(tokens, start, value, after)
        return value, after
    if token.text in ("a", "an"):
        if start + 1 < len(tokens) and tokens[start + 1].text in _TIMES:
            return _scaled(tokens, start, 1, start + 1)
        return None
    if token.text in _ORDINALS:
        return _ORDINAL, start + 1
    if token.text in _SMALL or token.text in _TENS:
        value, after = _below_hundred(tokens, start)
        if isinstance(value, int) and after < len(tokens) and tokens[after].text in _TIMES:
            return _scaled(tokens, start, value, after)
        return value, after
    return None


def _digits(token: _Token) -> int | _Said:
    digits = token.text.removesuffix(token.unit)
    if token.unit in _ORDINAL_UNIT or token.unit == "d":
        # `3D` describes pictures and is no count.
        return _ORDINAL
    if _GROUPS.fullmatch(digits):
        digits = re.sub(r"\D", "", digits)
    if token.unit or not digits.isdecimal() or len(digits.lstrip("0")) > MOST_DIGITS:
        return _UNREADABLE
    # int() refuses texts of thousands of digits, leading zeros included.
    return int(digits[-MOST_DIGITS:])


def _below_hundred(tokens: list[_Token], start: int) -> tuple[int | _Said, int]:
    """Read number words up to ninety-nine; return the number and the place after it."""
    word = tokens[start].text
    if word in _SMALL:
        return _SMALL[word], start + 1
    value, after = _TENS[word], start + 1
    unit = after
    if unit + 1 < len(tokens) and tokens[unit].text in _HYPHEN and tokens[unit].joined and tokens[unit + 1].joined:
        unit += 1
    if unit < len(tokens):
        if 1 <= _SMALL.get(tokens[unit].text, 0) <= 9:
            return value + _SMALL[tokens[unit].text], unit + 1
        if tokens[unit].text in _ORDINALS:
            return _ORDINAL, unit + 1
    return value, after


def _scaled(tokens: list[_Token], start: int, value: int, place: int) -> tuple[int | _Said, int]:
    """Read a number with hundreds, thousands, ..., or dozens; return the number and the place after it.

    Args:
        tokens: All tokens.
        start: Index of the token at which the number begins.
        value: The number before the first of these words.
        place: Index of the first of these words.
    """
    if tokens[place].text == "dozen":
        return 12 * value, place + 1
    total, part, least = 0, value, 10**12
    while True:
        word = tokens[place].text
        if word == "hundred":
            if not 1 <= part <= 99:
                return _UNREADABLE, place + 1
            part *= 100
        else:
            scale = _SCALES[word]
            if scale >= least or part >= 1000 or part == 0:
                return _UNREADABLE, place + 1
            total, part, least = total + part * scale, 0, scale
        place += 1
        following = place
        if following < len(tokens) and tokens[following].text == "," and word in _SCALES:
            # `two thousand, three hundred`, but not `two thousand, three of them red`.
            if not any(token.text == "hundred" for token in tokens[following + 1 : following + 5]):
                return total + part, place
            following += 1
        if following < len(tokens) and tokens[following].text == "and":
            following += 1
        if following < len(tokens) and tokens[following].text in _SCALES:
            if following != place:
                return total + part, place
            continue
        if following >= len(tokens) or tokens[following].text not in (*_SMALL, *_TENS, *_ORDINALS):
            return total + part, place
        if tokens[following].text in _ORDINALS:
            return _ORDINAL, following + 1
        more, after = _below_hundred(tokens, following)
        if not isinstance(more, int):
            return more, after
        if after < len(tokens) and tokens[after].text in _TIMES:
            if word == "hundred" and tokens[after].text == "hundred":
                return _UNREADABLE, after
            part, place = part + more, after
            if tokens[after].text == "dozen":
                return _UNREADABLE, after
            continue
        return total + part + more, after
