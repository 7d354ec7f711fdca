"""Figures of a file that the node's shadow mode has written: how far the answers of two models agree."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..metrics.intervals import wilson_interval

MOST_LINE_BYTES = 2**20
"""A longer line is damaged: the node writes a question, two answers and a few hundred stamps."""
MOST_DIFFERING = 1000
"""Of more questions whose answers differ, those that differ least are forgotten."""
MOST_TEXT = 2000
"""Characters that are kept of a text."""
MOST_SHOWN = 20
MOST_PAIRS = 16
MOST_NAMED = 5
ALL, CHOICES, TEXT, OTHERS = "all", "choices", "text", "other models"
_TEXTS = ("model", "shadow", "question", "text", "shadow_text")
_SHARES = ("confidence", "shadow_confidence", "probability_difference")
_TIMES = ("total_s", "shadow_total_s")
_MOST_S = 1e6

Pair = dict[str, Any]
"""A line of the file: the answers of two models to one question."""


class AgreementError(ValueError):
    """A file of comparisons cannot be used; the text says why."""


def agreement(file: Path) -> dict[str, Any]:
    """Compute how far two models agree, ready for JSON; the file is read line by line, in bounded memory.

    Args:
        file: The file; the one beside it whose name ends in `.1`, which has the older lines, is read first.

    Returns:
        `files`: their paths. `damaged`: the number of lines that were left out, and `damaged_lines`, where the first of
        them are. `models`: how many comparisons each pair of models has. `groups`: the figures of `all` questions, of
        those with `choices` to compare, of those answered by `text`, and of each pair of models if there are several.
        `differing`: the number of questions whose answers differ (up to MOST_DIFFERING), and `questions`, the
        MOST_SHOWN of these that differ most.

    Raises:
        AgreementError: The file cannot be read, or has no comparison.
    """
    rotated = file.with_name(file.name + ".1")
    files = [rotated, file] if rotated.is_file() else [file]
    figures = _Figures()
    for one in files:
        try:
            for number, pair in _pairs(one):
                if pair is None:
                    figures.damaged += 1
                    if figures.damaged <= MOST_NAMED:
                        figures.damaged_lines.append(f"{one}:{number}")
                else:
                    figures.add(pair, f"{one}:{number}")
        except OSError as error:
            raise AgreementError(f"{one}: {error.strerror}") from None
    if not figures.groups:
        raise AgreementError(
            f"{file} has no comparison of two models: --compare takes the folder of a run, or a file that the node has "
            "written with shadow_model"
        )
    return {"files": [str(one) for one in files], **figures.as_dict()}


def _pairs(file: Path) -> Iterator[tuple[int, Pair | None]]:
    """Yield the lines of a file with their numbers; None for one that the node cannot have written."""
    with file.open("rb") as lines:
        number = 0
        while line := lines.readline(MOST_LINE_BYTES):
            number += 1
            is_long = False
            while not line.endswith(b"\n") and (more := lines.readline(MOST_LINE_BYTES)):
                is_long, line = True, more
            yield number, None if is_long else _pair(line)


def _pair(line: bytes) -> Pair | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_whole = (
        isinstance(found, dict)
        and all(isinstance(found.get(name), str) for name in _TEXTS)
        and isinstance(found.get("same_text"), bool)
        and isinstance(found.get("same_choice", 0), bool | None)
        and all(_is_between(found.get(name), 1.0) for name in _SHARES)
        and all(_is_between(found.get(name), _MOST_S) for name in _TIMES)
    )
    return found | {name: found[name][:MOST_TEXT] for name in _TEXTS} if is_whole else None


def _is_between(value: object, most: float) -> bool:
    # Rounding may make a probability a little greater than 1.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most + 1e-6


@dataclass
class _Group:
    """Counts of some comparisons. Values are rounded, so that as many of them as there may be need little memory."""

    n: int = 0
    same_text: int = 0
    choices: int = 0
    same_choice: int = 0
    difference: Counter[float] = field(default_factory=Counter)
    total_s: Counter[float] = field(default_factory=Counter)
    shadow_total_s: Counter[float] = field(default_factory=Counter)

    def add(self, pair: Pair) -> None:
        self.n += 1
        self.same_text += pair["same_text"]
        self.choices += pair["same_choice"] is not None
        self.same_choice += bool(pair["same_choice"])
        self.difference[round(pair["probability_difference"], 4)] += 1
        self.total_s[_three_digits(pair["total_s"])] += 1
        self.shadow_total_s[_three_digits(pair["shadow_total_s"])] += 1

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"n": self.n, "same_text": _share(self.same_text, self.n)}
        if self.choices:
            found["same_choice"] = _share(self.same_choice, self.choices)
        found["probability_difference"] = {**_percentiles(self.difference), "largest": max(self.difference)}
        found["total_s"] = _percentiles(self.total_s)
        found["shadow_total_s"] = _percentiles(self.shadow_total_s)
        return found


@dataclass
class _Figures:
    groups: dict[str, _Group] = field(default_factory=dict)
    models: dict[tuple[str, str], _Group] = field(default_factory=dict)
    differing: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: int = 0
    damaged_lines: list[str] = field(default_factory=list)

    def add(self, pair: Pair, place: str) -> None:
        for name in (ALL, TEXT if pair["same_choice"] is None else CHOICES):
            self.groups.setdefault(name, _Group()).add(pair)
        models = pair["model"], pair["shadow"]
        if models not in self.models and len(self.models) >= MOST_PAIRS:
            models = OTHERS, OTHERS
        self.models.setdefault(models, _Group()).add(pair)
        if not pair["same_text"]:
            self._differs(pair, place)

    def _differs(self, pair: Pair, place: str) -> None:
        """Keep the comparison in which the answers to a question differ most, and how often they differ."""
        before = self.differing.get(pair["question"])
        times = 1 if before is None else before["times"] + 1
        if before is None or pair["probability_difference"] > before["probability_difference"]:
            before = {"times": times, **{name: pair[name] for name in (*_TEXTS, *_SHARES)}, "place": place}
        self.differing[pair["question"]] = {**before, "times": times}
        if len(self.differing) > MOST_DIFFERING:
            del self.differing[min(self.differing, key=lambda one: self.differing[one]["probability_difference"])]

    def as_dict(self) -> dict[str, Any]:
        groups = {name: self.groups[name] for name in (ALL, CHOICES, TEXT) if name in self.groups}
        if len(self.models) > 1:
            groups |= {f"{model} and {shadow}": group for (model, shadow), group in self.models.items()}
        worst = sorted(self.differing.values(), key=lambda one: (-one["probability_difference"], one["question"]))
        return {
            "damaged": self.damaged,
            "damaged_lines": self.damaged_lines,
            "models": [{"model": pair[0], "shadow": pair[1], "n": group.n} for pair, group in self.models.items()],
            "groups": {name: group.as_dict() for name, group in groups.items()},
            "differing": len(self.differing),
            "questions": worst[:MOST_SHOWN],
        }


def _three_digits(seconds: float) -> float:
    """A time of at least a tenth of a millisecond with three significant digits."""
    return float(f"{max(seconds, 1e-4):.3g}")


def _share(count: int, n: int) -> dict[str, float | int]:
    low, high = wilson_interval(count, n)
    return {"n": n, "count": count, "share": round(count / n, 6), "low": round(low, 6), "high": round(high, 6)}


def _percentiles(values: Mapping[float, int]) -> dict[str, float]:
    """Median and 95th percentile by nearest rank: the least value that so many percent do not exceed."""
    n, seen = sum(values.values()), 0
    ranks = {"median": math.ceil(0.5 * n), "p95": math.ceil(0.95 * n)}
    found: dict[str, float] = {}
    for value in sorted(values):
        seen += values[value]
        for name, rank in ranks.items():
            if name not in found and seen >= rank:
                found[name] = value
    return found
