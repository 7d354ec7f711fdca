"""Chinese numerals as numbers: 三, 两, 十二, 二十一, 一百零五, 两万三, 二〇二五.

Digits have the values of Unicode's Unihan database (kPrimaryNumeric and kAccountingNumeric), and 两 is two. Numerals
are formed as CLDR forms them (rule-based number formats of zh, spellout-cardinal); a last digit without its unit, as
people say it (一百五 is 150), and numbers that are told digit by digit are read too. Numbers of more than MOST_DIGITS
digits are not.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..bounds import MOST_DIGITS

DIGITS: Mapping[str, int] = (
    {digit: value for value, digit in enumerate("零一二三四五六七八九")}
    | {digit: value for value, digit in enumerate("壹贰叁肆伍陆柒捌玖", 1)}
    | {"〇": 0, "两": 2, "兩": 2, "貳": 2, "參": 3, "陸": 6}
)
UNITS: Mapping[str, int] = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
MYRIADS: Mapping[str, int] = {"亿": 100_000_000, "億": 100_000_000, "万": 10_000, "萬": 10_000}
CHARACTERS = "".join((*DIGITS, *UNITS, *MYRIADS))
"""All characters of numerals."""
# Of a number that is formed with units: each of its digits has a unit at most, and 万 and 亿 stand between.
_MOST_CHARACTERS = 3 * MOST_DIGITS


def numeral(text: str) -> int | None:
    """Read a text that is one Chinese numeral.

    Returns:
        The number, 0 or more; None: the text is no numeral, has more than MOST_DIGITS digits as a number, or tells no
        one number, such as 两三 (two or three).
    """
    if not text or text.strip(CHARACTERS):
        return None
    if len(text) > 1 and all(character in DIGITS for character in text):
        return _digit_by_digit(text)
    value = _value(text) if len(text) <= _MOST_CHARACTERS else None
    return value if value is not None and value < 10**MOST_DIGITS else None


def _digit_by_digit(text: str) -> int | None:
    """Read digits one by one: 二〇二五 is 2025. Two digits without a zero are an alternative (两三) and give None."""
    digits = "".join(str(DIGITS[character]) for character in text)
    if ("0" not in digits and len(digits) <= 2) or len(digits.lstrip("0")) > MOST_DIGITS:
        return None
    # Not the whole text: int() refuses thousands of zeros too.
    return int(digits[-MOST_DIGITS:])


def _value(text: str) -> int | None:
    """Read a numeral that is formed with units (十, 百, 千, 万, 亿)."""
    for mark, myriad in MYRIADS.items():
        head, found, tail = text.rpartition(mark)
        if not found:
            continue
        many = _value(head)
        rest = _rest(tail, myriad) if tail else 0
        return None if not many or rest is None else many * myriad + rest
    return _below_myriad(text)


def _rest(text: str, myriad: int) -> int | None:
    """Read the part behind 万 or 亿; a digit alone counts tenths of that unit, as in speech (两万三 is 23000)."""
    if len(text) == 1 and DIGITS.get(text):
        return DIGITS[text] * myriad // 10
    bare = text[1:] if DIGITS.get(text[0]) == 0 else text
    value = _value(bare) if bare else None
    return value if value is not None and value < myriad else None


def _below_myriad(text: str) -> int | None:
    """Read a numeral below 万: units fall from 千 to 十, and a digit follows another only after a zero."""
    if text and all(DIGITS.get(character) == 0 for character in text):
        return 0 if len(text) == 1 else None
    total, digit, unit, zero = 0, None, 10_000, False
    for position, character in enumerate(text):
        if character in UNITS:
            # 十 alone begins a numeral; within one CLDR writes 一十.
            digit = 1 if digit is None and UNITS[character] == 10 and position == 0 else digit
            if not digit or UNITS[character] >= unit:
                return None
            total, digit, unit, zero = total + digit * UNITS[character], None, UNITS[character], False
        elif DIGITS[character] == 0:
            if digit is not None or zero or position == 0:
                return None
            zero = True
        elif digit is not None:
            return None
        else:
            digit = DIGITS[character]
    if digit is None:
        return None if zero or not text else total
    tenths = not zero and 10 < unit < 10_000
    return total + digit * (unit // 10 if tenths else 1)
