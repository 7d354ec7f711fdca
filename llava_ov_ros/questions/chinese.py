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
    """Whether a text has a Han character, as Chinese has and English has not."""
    return _HAN.search(text) is not None


def half_width(text: str) -> str:
    """A text with its full-width letters, digits and marks as half-width ones: １２ as 12, ， as a comma.

    This is Unicode's compatibility form NFKC (UAX #15). Of the marks of Chinese it leaves `。` and `、`, which have no
    half-width form of another meaning.
    """
    return unicodedata.normalize("NFKC", text)


def narrowed(text: str) -> str:
    """A text with its full-width letters, digits and marks as half-width ones, and nothing else changed.

    `half_width` would also make ½ of two numbers, ² a digit, and a blank that holds thousands together any blank.
    """
    return _WIDE.sub(lambda wide: half_width(wide.group()), text)


def apart(text: str) -> str:
    """A text in which every Han character is a word of its own, between blanks."""
    return _HAN.sub(r" \g<0> ", text)


def together(words: str) -> str:
    """The reverse of `apart` for texts whose words have one blank between them."""
    return _BETWEEN_HAN.sub("", words)
