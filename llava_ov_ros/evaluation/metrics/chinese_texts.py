"""Compares free answers in Chinese with the right answers: exact match, F1 and ROUGE-L by characters.

Chinese puts no blanks between words, so a metric of words would take a whole sentence for one word. Exact match and F1
follow CMRC 2018 (ymcui/cmrc2018, cmrc2018_evaluate.py), applied after full-width letters and digits have become
half-width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ...questions.chinese import apart, half_width
from .rouge import common_subsequence


def unmarked(text: str) -> str:
    """Make a text lower case with half-width letters and digits (NFKC), and remove punctuation.

    Punctuation is the Unicode category P and the signs ~ ^ ` + =, which CMRC 2018 removes too.
    """
    return "".join(one for one in half_width(text).casefold().strip() if not _is_punctuation(one))


def pieces(text: str) -> list[str]:
    """Cut a text, after `unmarked`, into the pieces that are compared: Han characters, and words between blanks."""
    return apart(unmarked(text)).split()


def exact(prediction: str, gold: str) -> float:
    """Return 1 if prediction and gold are equal after `unmarked`, else 0."""
    return float(unmarked(prediction) == unmarked(gold))


def f1(prediction: str, gold: str) -> float:
    """F1 (CMRC 2018) of the longest common run of pieces.

    Precision is the run's share of the prediction's pieces, recall its share of the gold's pieces.

    Returns:
        0 to 1; 0 if a text has no pieces.
    """
    said, wanted = pieces(prediction), pieces(gold)
    common = _longest_run(wanted, said)
    return _f1(common, len(said), len(wanted))


def rouge_l(prediction: str, gold: str) -> float:
    """F-measure of the longest common subsequence of pieces (Lin, ROUGE, 2004, with beta 1).

    Returns:
        0 to 1; 0 if a text has no pieces.
    """
    said, wanted = pieces(prediction), pieces(gold)
    return _f1(len(common_subsequence(wanted, said)), len(said), len(wanted))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") or character in "~^`+="


def _f1(common: int, said: int, wanted: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / said, common / wanted
    return 2 * precision * recall / (precision + recall)


def _longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest contiguous run of pieces that both sequences have."""
    longest, above = 0, [0] * (len(second) + 1)
    for piece in first:
        row = [0]
        for column, other in enumerate(second):
            row.append(above[column] + 1 if piece == other else 0)
        longest = max(longest, *row)
        above = row
    return longest
