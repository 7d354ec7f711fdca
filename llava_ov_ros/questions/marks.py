"""Whether a text says something, apart from the mark at its end, its case and the width of its letters."""

from __future__ import annotations

from .chinese import half_width

END_MARKS = ".!。！"
"""What ends a sentence that is no question."""
_AT_THE_END = f"{END_MARKS} \t\r\n"


def bare(text: str) -> str:
    """A text as such texts are compared: half-width, lower case, without outer blanks and the marks at its end."""
    return half_width(text).strip().rstrip(_AT_THE_END).casefold()


def says(text: str, said: str | None) -> bool:
    """Whether a text is one that stands for something, compared as `bare` has them; nothing says None."""
    return said is not None and bare(text) == bare(said)
