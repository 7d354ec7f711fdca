"""Accuracy of answers that are yes or no, a number, or one of given choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .interleave import LETTERS, normalised
from .numerals import MOST_DIGITS, number_in

MOST_SHOWN = 60
_YES, _NO = "yes", "no"
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


def count(prediction: str, gold: str) -> float:
    """1 where the first count in the answer is the right one, as `numerals.number_in` reads both; else 0.

    Raises:
        ValueError: The right answer says no count.
    """
    wanted = number_in(gold)
    if wanted is None:
        shown = gold if len(gold) <= MOST_SHOWN else gold[:MOST_SHOWN] + "..."
        raise ValueError(
            f"the right answer is {shown!r}: expected a whole number of at most {MOST_DIGITS} digits, or its words"
        )
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
