"""Accuracy of answers that are yes or no, a count, or one of given choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...bounds import MOST_DIGITS
from ...questions.chinese import HAN, half_width
from .chinese_answers import begins_chinese, yes_or_no
from .interleave import LETTERS, normalised
from .numerals import number_in

MOST_SHOWN = 60
# The first of these that stands in the beginning of an answer counts.
_ENGLISH = {"yes": True, "no": False}
_CHINESE_LABEL = re.compile(r"^(?:(?:正确)?(?:答案|选项|回答)|(?:我)?选择?)(?:应该)?[是为]?[\s:]*(?:选项?)?\s*")
_CHINESE_QUOTES = "“”‘’「」『』"
_LABEL = re.compile(rf"([a-z])(?:[\s.:)]+(?=\S)|(?=[{HAN}]))")


def yes_no(prediction: str, gold: str) -> float:
    """Return 1 if the prediction says the same as the gold, yes or no; else 0.

    As in MME's evaluation, only the first four characters of a prediction count: if they contain `yes`, the answer is
    yes, else if they contain `no`, no. A prediction whose first letter is Chinese is read by
    `chinese_answers.yes_or_no`; the gold may be 是 or 否 too.

    Raises:
        ValueError: The gold is neither yes nor no.
    """
    wanted = yes_or_no(gold) if begins_chinese(gold) else _ENGLISH.get(gold.strip().rstrip(".!").lower())
    if wanted is None:
        raise ValueError(f"the right answer is {gold!r}: expected yes or no, or 是 or 否")
    if begins_chinese(prediction):
        return float(yes_or_no(prediction) is wanted)
    beginning = prediction.strip().lower()[:4]
    said = next((says for word, says in _ENGLISH.items() if word in beginning), None)
    return float(said is wanted)


def count(prediction: str, gold: str) -> float:
    """Return 1 if the first counts in prediction and gold, read by `numerals.number_in`, are equal; else 0.

    Raises:
        ValueError: The gold has no count.
    """
    wanted = number_in(gold)
    if wanted is None:
        shown = gold if len(gold) <= MOST_SHOWN else gold[:MOST_SHOWN] + "..."
        raise ValueError(
            f"the right answer is {shown!r}: expected a whole number of at most {MOST_DIGITS} digits, or its words"
        )
    return float(number_in(prediction) == wanted)


def chosen(text: str, choices: Sequence[str]) -> int | None:
    """Find the choice that a text names: by its words, its letter (A is the first), or both (`B. the mug`).

    Texts are compared as in LLaVA-Interleave-Bench (`interleave.normalised`), after full-width letters and marks have
    become half-width. The words of a choice are tried before its letter. In Chinese the letter may stand in `选B` and
    `答案是B`.

    Returns:
        Index of the choice, from 0; None if the text names none of them.
    """
    said = compared(text)
    listed = [compared(choice) for choice in choices]
    if said in listed:
        return listed.index(said)
    said = _CHINESE_LABEL.sub("", said, count=1)
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


def compared(text: str) -> str:
    """Bring a text into the form in which choices are compared: half-width, unquoted, `interleave.normalised`."""
    return normalised(half_width(text).replace("。", ".").replace("、", ", ")).strip(_CHINESE_QUOTES)


def choice(prediction: str, gold: str, choices: Sequence[str]) -> float:
    """Return 1 if the prediction names the same choice as the gold (`chosen`), else 0.

    Raises:
        ValueError: The gold is none of the choices.
    """
    wanted = chosen(gold, choices)
    if wanted is None:
        raise ValueError(f"the right answer is {gold!r}, which is none of the choices {', '.join(choices)}")
    return float(chosen(prediction, choices) == wanted)
