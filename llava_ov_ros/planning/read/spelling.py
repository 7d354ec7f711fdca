"""Brings what people and models write into one form: lower-case words, each followed by one blank.

Chinese puts no blanks between words, so that every Han character counts as a word.
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
    """Full-width letters and marks as their plain ones, lower case, no quotation marks and no emphasis."""
    return _DELETED.sub("", half_width(text.translate(_MARKS))).casefold()


def spaced(text: str) -> str:
    """Words of a folded text with one blank after each; hyphens and underscores part words, as do Han characters."""
    words = _GAPS.sub(" ", apart(text)).strip()
    return words + " " if words else ""


def plain(text: str, ignore: Iterable[str] = ()) -> str:
    """A text as patterns see it: folded, spaced, and without what means nothing."""
    return without(spaced(folded(text)), tuple(ignore))


def without(words: str, ignore: tuple[str, ...]) -> str:
    """Spaced words without those that the patterns describe."""
    return _ignored(ignore).sub("", words) if ignore else words


@lru_cache(maxsize=16)
def _ignored(patterns: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(patterns, key=len, reverse=True)
    return re.compile(r"(?<!\S)(?:" + "|".join(regex(parse_phrase(one)) for one in longest_first) + ")")
