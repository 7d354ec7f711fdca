"""Normalises text of people and models to lower-case words, each followed by one blank.

Chinese has no blanks between words, so every Han character counts as a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ...questions.chinese import apart, half_width
from .phrases import parse_phrase, regex

_MARKS = str.maketrans(
    {"。": ". ", "、": ", ", "‐": "-", "–": "-", "—": "-", "’": "'"}
    | {chr(0x2460 + n): f"{n + 1}. " for n in range(20)}
)
_DELETED = re.compile(r"[\"`*「」『』'“”„«»‘\\]")
_GAPS = re.compile(r"[\s_\-]+")


def folded(text: str) -> str:
    """Text in lower case, with half-width letters and marks, without quotation marks and emphasis."""
    return _DELETED.sub("", half_width(text.translate(_MARKS))).casefold()


def spaced(text: str) -> str:
    """Words of a folded text, each followed by one blank.

    Hyphens and underscores separate words, and every Han character is a word.
    """
    words = _GAPS.sub(" ", apart(text)).strip()
    return words + " " if words else ""


def plain(text: str, ignore: Iterable[str] = ()) -> str:
    """Text in the form that patterns match: folded, spaced, and without matches of the patterns `ignore`."""
    return without(spaced(folded(text)), tuple(ignore))


def without(words: str, ignore: tuple[str, ...]) -> str:
    """Spaced words without the matches of the patterns `ignore`."""
    return _ignored(ignore).sub("", words) if ignore else words


@lru_cache(maxsize=16)
def _ignored(patterns: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(patterns, key=len, reverse=True)
    return re.compile(r"(?<!\S)(?:" + "|".join(regex(parse_phrase(one)) for one in longest_first) + ")")
