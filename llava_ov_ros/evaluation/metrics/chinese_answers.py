"""Reads short answers in Chinese: yes or no, or a count."""

from __future__ import annotations

import re

from ...bounds import MOST_DIGITS
from ...questions.chinese import HAN, half_width, has_han, narrowed
from ...questions.chinese_numerals import CHARACTERS, UNITS, numeral

MEASURES = (
    "个個只隻张張把本件条條位名人辆輛台臺块塊片瓶杯碗盘盤盒箱袋根支枝颗顆粒朵棵双雙对對副套组組群排层層间間座栋棟扇面幅次种種项項"
    "份头頭匹口艘架盏盞枚顶頂串束堆罐桶壶壺篮籃卷滴节節段道句页頁步"
)
"""Measure words: they stand between a number and the noun that is counted."""

# No Han character follows.
_END = rf"(?![{HAN}])"
_UNSURE = (
    r"(?:[无無没沒]法|不(?:太)?(?:确定|確定|知道|清楚|好说|一定|能确定|能判断)|看不(?:出|清)|[没沒]看[清出]|难以|说不|未[必知]|没准"
    r"|没有(?:足够|办法|把握)|有(?:可能|时|点|待)|可能|也许|或许|好像|似乎|大概|恐怕)"
)
# A question, or a word that only begins like yes or no: 对不起 (sorry), 否则 (otherwise), 不同 (different).
_NEITHER = (
    r"(?:是否|是不是|有[没沒]有|对不对|能不能|会不会|可不可以|在不在"
    r"|对(?:不起|于|面|比)|否则|不(?:过|仅|同|一样|止|少|久)|不是[没不])"
)
_YES_THOUGH_NEGATED = r"(?:[没沒][错錯]|不错|没问题)"
_NO = (
    rf"(?:不(?:{_END}|[是对對能会會行在有要应像算]|可以|可能|存在|需要|属于|正确)"
    rf"|[没沒](?:{_END}|[有在见人]|看[到见]|发现)|否|[无無](?:{_END}|人)|未(?:见|发现|发生|变)"
    rf"|并[非不没无]|非{_END}|[错錯](?:[误誤的了]|{_END})|是[不没沒])"
)
_YES = rf"(?:是|[对對](?:[的啊呀了]|{_END})|正确|可以|存在|有|[能会會](?:看到|的|{_END})|[好行嗯在](?:的|{_END}))"
_SAYS = tuple(
    (re.compile(pattern), says)
    for pattern, says in (
        (f"{_UNSURE}|{_NEITHER}", None),
        (_YES_THOUGH_NEGATED, True),
        (_NO, False),
        (_YES, True),
    )
)
_LABEL = re.compile(r"(?:答案|回答|答)(?:应该)?[是为]?[\s:,]*")
_STRESS = re.compile(r"(?:确实|的确|当然|肯定)[\s,]*")
_OPENING = "\"'“”‘’「」『』()[]【】《》*:,.-、。 "

_NUMBER = rf"(?:-?\d+(?:[.,]\d+)*[{CHARACTERS}]*|负?[几{CHARACTERS}]+)"
_QUANTITY = re.compile(
    rf"(?P<unsure>{_UNSURE})"
    # 一个也没有: not even one.
    rf"|(?P<not_one>一[{MEASURES}][{HAN}]{{0,4}}?[也都][没沒不])"
    rf"|(?P<none>[没沒]有|不存在|(?<![{HAN}])[无無没沒](?={_END}|人))(?P<negated>{_NUMBER})?"
    rf"|(?P<number>(?<![\w.,])|(?<=[{HAN}])){_NUMBER}"
)
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+")
# 第三个 is the third one, 三分之一 a third, 同一个 the same one: none of these is a count.
_NO_COUNT_BEFORE = "第之同某任另每"
# 3D图 is not three pictures, and 3号 (number 3) is not three of anything.
_NO_COUNT_AFTER = re.compile(r"[分之号號]|[dD](?![a-zA-Z])")
# No part of these may be read as a number of its own: 3-5个, 三到五个, 三点五个, 40%, 3/4, 10:30, 2k, 1½, 两个半.
_GOES_ON = re.compile(
    rf"\s*[%‰°]|\s*[-\u2010-\u2015\u2212~/:+×*=]\s*[\d几{CHARACTERS}]|[到至点][几{CHARACTERS}\d]|[^\W{HAN}]"
    rf"|[{MEASURES}]半{_END}"
)
# 十几个 (ten and some), 二十多个 (over twenty), 数十个 (dozens) are not one number.
_ABOUT_AFTER, _ABOUT_BEFORE = re.compile(r"[几多余来]"), "数上近"
_COUNTED = re.compile(rf"[大小整]?[{MEASURES}]|{_END}")


def begins_chinese(text: str) -> bool:
    """Whether the first letter or digit of a text is a Han character."""
    return has_han(next(filter(str.isalnum, text), ""))


def yes_or_no(text: str) -> bool | None:
    """Read yes or no from the first words of an answer in Chinese: 是, 对, 有 are yes; 否, 不是, 没有, 不对 are no.

    A label before these words (答案：是) and words of stress (确实没有) are skipped.

    Returns:
        True for yes, False for no, None for neither: 不确定 (not sure), 可能 (perhaps), 是不是 (a question).
    """
    said = half_width(text).lstrip(_OPENING)
    label = _LABEL.match(said)
    said = said[label.end() :].lstrip(_OPENING) if label is not None else said
    stress = _STRESS.match(said)
    if stress is not None:
        said = said[stress.end() :]
        if not has_han(said[:1]):
            return True
    return next((says for pattern, says in _SAYS if pattern.match(said)), None)


def number_told(text: str) -> int | None:
    """Read the count that a text in Chinese states: the first number, in digits or as a Chinese numeral.

    A numeral is read only before a measure word (三个) or if no Han character follows, so that 一些 (some) is not 1.
    没有 and 一个也没有 are 0. Digits may be full-width.

    Returns:
        The count. None if the text has no number, or the number is not whole, is not a single number (十几个, 两三个,
        三到五个), has more than MOST_DIGITS digits, or the answer is unsure.
    """
    said = narrowed(text)
    for found in _QUANTITY.finditer(said):
        if found["unsure"]:
            return None
        if found["not_one"]:
            return 0
        if found["none"]:
            # 没有三个，只有两个 (not three, only two): the count comes later.
            if found["negated"] and _whole(found["negated"]) != 1:
                continue
            return 0
        number, before = found.group(), said[: found.start()]
        if before.endswith(tuple(_NO_COUNT_BEFORE)) or _NO_COUNT_AFTER.match(said, found.end()):
            continue
        if _GOES_ON.match(said, found.end()):
            return None
        about = number[0] in UNITS and before.endswith(tuple(_ABOUT_BEFORE))
        if about or _ABOUT_AFTER.match(said, found.end()):
            return None
        if number[-1].isdecimal() or _COUNTED.match(said, found.end()):
            return _whole(number)
    return None


def _whole(number: str) -> int | None:
    """Read a number in digits, as a numeral, or in digits before 万; None if it is not whole or too long."""
    sign = -1 if number[0] in "-负" else 1
    number = number.lstrip("-负")
    digits = number.rstrip(CHARACTERS)
    if not digits:
        value = numeral(number)
        return None if value is None else sign * value
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    if not digits.isdecimal() or len(digits.lstrip("0")) > MOST_DIGITS:
        return None
    unit = number[len(number.rstrip(CHARACTERS)) :]
    many = numeral(f"一{unit}") if unit else 1
    value = None if many is None else int(digits[-MOST_DIGITS:]) * many
    return None if value is None or value >= 10**MOST_DIGITS else sign * value
