"""Accuracy of answers that are yes or no, a number, or one of given choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .interleave import LETTERS, normalised

_YES, _NO = "yes", "no"
_UP_TO_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORDS = {word: number for number, word in enumerate(_UP_TO_TWENTY)} | {"no": 0, "none": 0}
_NUMBER = re.compile(rf"(?<![\w.,])-?\d+(?:[.,]\d+)*(?!\w)|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_LABEL = re.compile(r"([a-z])[\s.:)]+(?=\S)")


def yes_no(prediction: str, gold: str) -> float:
    """1 where yes or no is answered as it should be, else 0.

    As in MME's evaluation, an answer is what its first four characters contain: yes, else no.

    Raises:
        ValueError: The right answer is neither.
    """
    wanted = gold.strip().rstrip(".!").lower()
    if wanted not in (_YES, _NO):
        raise ValueError(f"the right answer is {gold!r}: expected yes or no")
    beginning = prediction.strip().lower()[:4]
    said = _YES if _YES in beginning else _NO if _NO in beginning else None
    return float(said == wanted)


def number_in(text: str) -> int | None:
    """The first number in a text, in digits or as an English word up to twenty; `no` and `none` are 0.

    Returns:
        The number, or None: there is none, or it is not whole.
    """
    found = _NUMBER.search(text)
    if found is None:
        return None
    word = found.group().lower()
    if word in _WORDS:
        return _WORDS[word]
    if _THOUSANDS.fullmatch(word):
        word = word.replace(",", "")
    return int(word) if word.lstrip("-").isdecimal() else None


def count(prediction: str, gold: str) -> float:
    """1 where the first number in the answer is the right one, else 0.

    Raises:
        ValueError: There is no whole number in the right answer.
    """
    wanted = number_in(gold)
    if wanted is None:
        raise ValueError(f"the right answer is {gold!r}: expected a number")
    return float(number_in(prediction) == wanted)


def chosen(text: str, choices: Sequence[str]) -> int | None:
    """Which of some choices a text names: by its words, its letter (A is the first), or both (`B. the mug`).

    Compared as in LLaVA-Interleave-Bench (`interleave.normalised`). The words are looked for before the letter.

    Returns:
        Index of the choice, or None: it is none of them.
    """
    said = normalised(text)
    listed = [normalised(choice) for choice in choices]
    if said in listed:
        return listed.index(said)
    pieces = [piece.strip() for piece in said.split(":")]
    letters = [piece for piece in pieces if len(piece) == 1 and piece in LETTERS[: len(listed)]]
    if letters:
        return LETTERS.index(letters[-1])
    label = _LABEL.match(said)
    if label is not None and label.group(1) in LETTERS[: len(listed)]:
        index = LETTERS.index(label.group(1))
        if said[label.end() :] == listed[index]:
            return index
    return None


def choice(prediction: str, gold: str, choices: Sequence[str]) -> float:
    """1 where the answer names the right choice, else 0.

    Raises:
        ValueError: The right answer is none of the choices.
    """
    wanted = chosen(gold, choices)
    if wanted is None:
        raise ValueError(f"the right answer is {gold!r}, which is none of the choices {', '.join(choices)}")
    return float(chosen(prediction, choices) == wanted)
