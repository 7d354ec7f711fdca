"""Questions about a recording, each with the time at which it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..frames import NS_PER_S

MOST_SECONDS = 1_000_000_000
"""Thirty years, as in suites; longer times do not fit the nanoseconds of stamps."""
ROUNDING_NS = 1_000_000
"""A time that was rounded when it was written down may be so much later than the recording's end."""
MOST_SHOWN = 60
_FIELDS = ("ask", "at_s", "window_s", "truth", "kind")


class QuestionsError(ValueError):
    """Questions that cannot be used; the text names the file, the entry, the field and the value."""


@dataclass(frozen=True)
class TimedQuestion:
    """A question and the moment it is asked.

    Attributes:
        ask: The text.
        at_ns: Nanoseconds after the first frame of the recording.
        window_ns: Length of the window that the question is about and that ends then; None: it has none of its own.
        gold: The right answer, where it is known; `truth` in the file.
        category: The topic of the question (colour, counting, ...), where it is known; `kind` in the file.
    """

    ask: str
    at_ns: int
    window_ns: int | None = None
    gold: str = ""
    category: str = ""


def read_questions(path: Path) -> tuple[TimedQuestion, ...]:
    """Read a JSON file `{"questions": [{"ask": "...", "at_s": 4.4}, ...]}`.

    An entry may also have `window_s`, `truth` and `kind`. Other fields are ignored.

    Raises:
        QuestionsError: The file is missing, is no such JSON, or has an unusable entry.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QuestionsError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise QuestionsError(f"{path}: not JSON: {error}") from None
    entries = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise QuestionsError(f'{path}: expected {{"questions": [...]}} with at least one question in the list')
    return tuple(_question(entry, f"{path}, question {number}") for number, entry in enumerate(entries, 1))


def ask_at(
    asks: Sequence[str], *, duration_ns: int, every_s: float | None = None, at_s: Iterable[float] = ()
) -> tuple[TimedQuestion, ...]:
    """Ask each of some questions at given seconds, on a period, or, with neither, once at the end.

    Args:
        asks: The texts.
        duration_ns: Length of the recording.
        every_s: Period in seconds; the first time is one period after the first frame. In a shorter recording
            it is the end.
        at_s: Seconds after the first frame.

    Returns:
        All questions, in order of their time.

    Raises:
        QuestionsError: A text is empty, or a time is negative or not finite.
    """
    for ask in asks:
        if not ask.strip():
            raise QuestionsError("a question is empty: write what is asked")
    times = {_nanoseconds(at, "a time to ask at") for at in at_s}
    if every_s is not None:
        period_ns = _nanoseconds(every_s, "the period")
        if period_ns == 0:
            raise QuestionsError(f"the period is {every_s} s: it must be more than 0")
        times |= set(range(period_ns, duration_ns + 1, period_ns)) or {duration_ns}
    return tuple(TimedQuestion(ask, at_ns) for at_ns in sorted(times or {duration_ns}) for ask in asks)


def _question(entry: Any, where: str) -> TimedQuestion:
    if not isinstance(entry, dict):
        raise QuestionsError(f"{where}: expected an object with {', '.join(_FIELDS)}, not {entry!r}")
    for name in ("ask", "at_s"):
        if name not in entry:
            raise QuestionsError(f"{where}: {name} is missing")
    ask = entry["ask"]
    if not isinstance(ask, str) or not ask.strip():
        raise QuestionsError(f"{where}: ask is {ask!r}, expected the text of the question")
    for name in ("truth", "kind"):
        if not isinstance(entry.get(name, ""), str):
            raise QuestionsError(f"{where}: {name} is {entry[name]!r}, expected text")
    window_s = entry.get("window_s")
    return TimedQuestion(
        ask,
        _nanoseconds(entry["at_s"], f"{where}: at_s"),
        None if window_s is None else _nanoseconds(window_s, f"{where}: window_s"),
        entry.get("truth", ""),
        entry.get("kind", ""),
    )


def _nanoseconds(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_SECONDS:
        shown = repr(value)
        shown = shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "..."
        raise QuestionsError(f"{what} is {shown}, expected seconds, 0 to {MOST_SECONDS:,}")
    return round(value * NS_PER_S)
