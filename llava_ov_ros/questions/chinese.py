"""Chinese text: which characters are Han, and full-width letters, digits and marks as their half-width ones."""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Of a character class of a regular expression: the Unified_Ideograph blocks of Unicode, and the zero 〇.

Marks such as 、 and 。 are none of them.
"""
_HAN = re.compile(f"[{HAN}]")
_WIDE = re.compile("[\u3000\uff01-\uff60\uffe0-\uffe6]")
_BETWEEN_HAN = re.compile(rf"(?<=[{HAN}]) (?=[{HAN}])")


def has_han(text: str) -> bool:
    """Whether a text contains a Han character."""
    return _HAN.search(text) is not None


def half_width(text: str) -> str:
    """Turn full-width letters, digits and marks into half-width ones: １２ becomes 12, ， becomes a comma.

    The form is Unicode's NFKC (UAX #15). The Chinese marks `。` and `、` stay: no half-width mark has their meaning.
    """
    return unicodedata.normalize("NFKC", text)


def narrowed(text: str) -> str:
    """Turn full-width letters, digits and marks into half-width ones and change nothing else.

    `half_width` also turns ½ into two numbers, ² into a digit, and the no-break space between thousands into a space.
    """
    return _WIDE.sub(lambda wide: half_width(wide.group()), text)


def apart(text: str) -> str:
    """Put spaces around every Han character, so that each is a word of its own."""
    return _HAN.sub(r" \g<0> ", text)


def together(words: str) -> str:
    """Undo `apart` in a text whose words are separated by one space."""
    return _BETWEEN_HAN.sub("", words)
