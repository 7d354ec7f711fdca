"""Compares short texts without regard to case, width of letters and the mark at the end."""

from __future__ import annotations

from .chinese import half_width

END_MARKS = ".!。！"
"""What ends a sentence that is no question."""
_AT_THE_END = f"{END_MARKS} \t\r\n"


def bare(text: str) -> str:
    """Reduce a text to the form in which texts are compared: half-width, lower case, no outer spaces, no end marks."""
    return half_width(text).strip().rstrip(_AT_THE_END).casefold()


def says(text: str, said: str | None) -> bool:
    """Whether a text equals an expected one in the form of `bare`; no text equals None."""
    return said is not None and bare(text) == bare(said)
