"""Questions about a recording with the times at which they are asked, from a JSON file or from given times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..frames import NS_PER_S

MOST_SECONDS = 1_000_000_000
"""Longest time in seconds, about thirty years, as in suites; longer times do not fit the nanoseconds of stamps."""
ROUNDING_NS = 1_000_000
"""A time that was rounded when it was written down may be this many nanoseconds later than the recording's end."""
MOST_SHOWN = 60
_FIELDS = ("ask", "at_s", "window_s", "truth", "kind")


class QuestionsError(ValueError):
    """A question or its time cannot be used; the text names the file, the entry, the field and the value."""


@dataclass(frozen=True)
class TimedQuestion:
    """A question and the time at which it is asked.

    Attributes:
        ask: Text of the question.
        at_ns: Time of the question, in nanoseconds after the first frame of the recording.
        window_ns: Length in nanoseconds of the window that ends at the question's time; None: the question has no
            window of its own.
        gold: The right answer, or an empty text if it is not known; `truth` in the file.
        category: The topic of the question (colour, counting, ...), or an empty text; `kind` in the file.
    """

    ask: str
    at_ns: int
    window_ns: int | None = None
    gold: str = ""
    category: str = ""


def read_questions(path: Path) -> tuple[TimedQuestion, ...]:
    """Read questions from a JSON file `{"questions": [{"ask": "...", "at_s": 4.4}, ...]}`.

    `at_s` counts seconds from the first frame. An entry may also have `window_s` (seconds), `truth` and `kind`. Other
    fields are ignored.

    Raises:
        QuestionsError: The file cannot be read, is not JSON of this form, or has an entry that cannot be used.
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
    """Give each question its times: given times, a period, both, or, with neither, the end of the recording.

    Args:
        asks: Texts of the questions.
        duration_ns: Length of the recording in nanoseconds.
        every_s: Period in seconds. The first time is one period after the first frame, or the end of the recording if
            the recording is shorter.
        at_s: Given times, in seconds after the first frame.

    Returns:
        Every question at every time, in order of time.

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
