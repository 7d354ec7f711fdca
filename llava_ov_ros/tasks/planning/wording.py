"""Brings what people and models write into one form: lower-case words, each followed by one blank."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from .phrases import parse_phrase, regex

_MARKS = str.maketrans({"。": ". ", "、": ", ", "‐": "-", "–": "-", "—": "-", "’": "'"})
_DELETED = re.compile(r"[\"`*'“”„«»‘\\]")
_GAPS = re.compile(r"[\s_\-]+")


def folded(text: str) -> str:
    """Full-width letters and marks as their plain ones, lower case, no quotation marks and no emphasis."""
    plain = unicodedata.normalize("NFKC", text.translate(_MARKS))
    return _DELETED.sub("", plain).casefold()


def spaced(text: str) -> str:
    """Words of a folded text with one blank after each; hyphens and underscores part words."""
    words = _GAPS.sub(" ", text).strip()
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
