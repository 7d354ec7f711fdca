r"""Finds the choice in an answer that says more than a letter: `The answer is (B).`, `\boxed{B}`, `答案是B。`.

An answer that names two choices counts as naming none: the metric does not guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from string import ascii_lowercase

from ...questions.chinese import HAN, narrowed
from .choices import chosen, compared
from .interleave import LETTERS

_STYLE = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|rm|bf)\s*\{([^{}]*)\}")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}|<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_MARKS = re.compile(r"\\[()\[\]]|[*_`~$]+|</?answer>|\\(?:boxed|fbox)\b", re.IGNORECASE)

# No blank follows a Chinese mark, but a blank follows the mark that replaces it here.
_CHINESE_MARKS = str.maketrans({"。": ". ", "．": ". ", "、": ", ", "，": ", ", "：": ": "})
# A letter in Chinese quotation marks.
_QUOTED = re.compile(r"[“「『]\s*([A-Za-z])\s*[”」』]")

# Words that state an answer; the answer follows them.
_STATED = re.compile(
    r"(?:\b(?:(?:answer|choice|option|response|solution)(?:\s+(?:to|for)\s+(?:the|this|your)\s+question)?"
    r"\s*(?:is|would\s+be|should\s+be|must\s+be|:|=)"
    r"|i(?:\s+would|\s+will|['’]d|['’]ll)?\s+(?:choose|pick|select|say|go\s+with|think|believe)(?:\s+(?:it|that)\s+is)?"
    r"|it(?:['’]s|\s+is|\s+must\s+be|\s+should\s+be))"
    r"|(?:(?:答案|回答)(?:应该|应当|可能|就)?[是为]?|选项(?:应该|应当|可能|就)?[是为:]|(?<![可挑候])选择?)"
    r"(?:\s*[:=]?\s*选项?(?=\s*[(\[A-Za-z]))?"
    r")\s*[:=]?\s*(?P<what>[^\n]{0,300})",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\bdoubt|\bunlikely|\bunsure|\bwhether|\bif)\s+(?:[\w'’]+\s+){0,5}$"
    rf"|(?:[不没非别未]|是否|如果|无法)[{HAN}]{{0,6}}$",
    re.I,
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|none|cannot|wrong|incorrect|except|unsure)\b|n['’]t\b|[不没非未错]|无法", re.I
)
_HEDGE = r"(?:(?:most\s+likely|likely|probably|clearly|definitely|certainly|either|both|the|option|choice|letter)\s+)*"
_OR = r"(?:,?\s*(?:(?:or|and)\b|还是|或者?|以?及|[和与跟])|[,/&])"
# A lone `a` or `A` before a word is an article.
_LETTER = (
    r"(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\]|([A-Za-z])(?=\s*(?:$|[.,;:!?)\]/&\n]))"
    r"|([B-HJ-Z])(?=\s)|(A)(?=\s+(?:because|since|as|and|or|which|based|is|[-–—(]))"
    r"|([A-Za-z])(?=\s*(?:选?项|是|对|正确|吧|因为|由于|和|与|跟|及|或|还是|以及)))"
)
_LEADING = re.compile(r"\s*" + _HEDGE.replace("(?:(?:", "(?:(?i:", 1) + _LETTER)
_ANOTHER = re.compile(rf"\s*[.)]?\s*{_OR}\s*" + _HEDGE.replace("(?:(?:", "(?:(?i:", 1) + _LETTER)
_PRAISED = re.compile(
    r"(?<![\w'’])\(?([A-Za-z])\)?\s+is\s+(?:the\s+)?(?:correct|right|best|answer)\b"
    r"|(?<![a-zA-Z0-9'’])\(?([A-Za-z])\)?\s*(?:选?项)?[是最]?(?:正确|对的|答案)"
)
# A letter as in a list, at the beginning of a line.
_LABEL = re.compile(r"^\s*(?:[-•]\s*)?(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\]|([A-Za-z])\s*[.):])(?=\s|$)", re.M)
_MENTIONED = re.compile(
    r"(?<!\w)(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\])|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter)\s+([A-Za-z])\b"
    r"|选项\s*([A-Za-z])(?![a-zA-Z])|(?<![a-zA-Z])([A-Za-z])\s*选?项"
)
# Text that may follow a letter at the beginning of an answer.
_ALONE = re.compile(r"[\s.!)\]]*(?:$|(?:because|since|as)\b|[,;–—-])")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")


def choice_lenient(prediction: str, gold: str, choices: Sequence[str] = ()) -> float:
    """Return 1 if the answer names the right choice and no other choice, in whatever words; else 0.

    A choice that the answer states (in a box, or after `the answer is` or 答案是) goes before one that is only
    mentioned.

    Args:
        prediction: The model's answer.
        gold: The letter or the words of the right choice.
        choices: The words of all choices, A first; empty if they are not known.

    Raises:
        ValueError: The gold is none of the choices.
    """
    if choices:
        wanted = chosen(gold, choices)
        if wanted is None:
            raise ValueError(f"the right answer is {gold!r}, which is none of the choices {', '.join(choices)}")
        return float(_named(prediction, _among(choices)) == wanted)
    right = compared(gold)
    if compared(prediction) == right:
        return 1.0
    letters = len(right) == 1 and right in LETTERS
    return float(_named(prediction, _letter if letters else _words) == right)


_Reader = Callable[[str, str], "int | str | None"]
"""Maps a letter and words (either may be empty) to the choice that they stand for; None if to no choice."""


def _letter(letter: str, words: str) -> str | None:
    return letter if letter and letter in LETTERS else None


def _words(letter: str, words: str) -> str | None:
    return words or letter or None


def _among(choices: Sequence[str]) -> _Reader:
    listed = [compared(one) for one in choices]

    def index(letter: str, words: str) -> int | None:
        if words in listed:
            return listed.index(words)
        if letter in listed:
            return listed.index(letter)
        # `B蓝色的杯子`
        if words[1:] in listed and ascii_lowercase.find(words[0]) == listed.index(words[1:]):
            return listed.index(words[1:])
        return ascii_lowercase.index(letter) if letter and letter in ascii_lowercase[: len(listed)] else None

    return index


def _named(text: str, read: _Reader) -> int | str | None:
    """Return the only choice that an answer names; None if the answer names none or several."""
    text = _QUOTED.sub(r"\1", narrowed(text.translate(_CHINESE_MARKS)))
    while (plain := _STYLE.sub(r"\1", text)) != text:
        text = plain
    boxed = [_MARKS.sub("", found[1] or found[2] or "") for found in _BOXED.finditer(text)]
    text = _MARKS.sub("", text)
    stated = [*boxed, *_stated(text)]
    found = {value for one in stated for value in _read(one, read)}
    for praised in _PRAISED.finditer(text):
        value = None if _denied(text, praised.start()) else read(_first(praised), "")
        if value is not None:
            found.add(value)
    if not found and not boxed:
        found = set(_mentioned(text, read))
    return found.pop() if len(found) == 1 else None


def _denied(text: str, place: int) -> bool:
    return _DENIED.search(text[max(0, place - 80) : place]) is not None


def _stated(text: str) -> Iterator[str]:
    """Yield the text after each `the answer is` or similar, to the end of the line; long lines are cut off."""
    place = 0
    while (found := _STATED.search(text, place)) is not None:
        # `I think the answer is B` has two statements, one in the other: the inner one counts.
        place = found.start("what")
        if not _denied(text, found.start()):
            yield found["what"]


def _read(stated: str, read: _Reader) -> Iterator[int | str]:
    """Yield the choices that a statement names: by letters at its beginning, or by the words of its sentence."""
    found = _LEADING.match(stated)
    letters: list[str] = []
    while found is not None:
        letters.append(_first(found))
        end = found.end()
        found = _ANOTHER.match(stated, end)
    if letters:
        rest = compared(stated[end:].lstrip(" .):]"))
        named = [value for letter in letters if (value := read(letter, "")) is not None]
        yield from named
        if rest and (value := read("", rest)) is not None and not named:
            yield value
        elif rest and named and isinstance(value := read("", rest), int):
            # For `B. the red mug`, where the red mug is A.
            yield value
        return
    end_of_sentence = _SENTENCE_END.search(stated)
    sentence = stated[: end_of_sentence.start()] if end_of_sentence else stated
    for words in dict.fromkeys((compared(sentence), compared(stated))):
        if words and (value := read("", words)) is not None:
            yield value
            return


def _mentioned(text: str, read: _Reader) -> Iterator[int | str]:
    """Yield the choices that an answer without a statement names: by the whole answer, or by letters in it."""
    whole = compared(text)
    if (value := read(whole if len(whole) == 1 else "", whole)) is not None and len(whole) != 1:
        yield value
        return
    lead = _LEADING.match(text)
    labels = [_first(found) for found in _LABEL.finditer(text)]
    leading = bool(labels) and _LABEL.match(text) is not None
    if lead is not None and (leading or _ALONE.match(text, lead.end())):
        yield from _read(text, read)
    elif not leading and _NEGATION.search(text):
        return
    for letter in (*labels, *(_first(found) for found in _MENTIONED.finditer(text))):
        if (value := read(letter, "")) is not None:
            yield value


def _first(found: re.Match[str]) -> str:
    return str(next(group for group in found.groups() if group)).lower()
