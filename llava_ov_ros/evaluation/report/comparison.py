"""Compares two runs: which questions score better or worse, and the difference of each metric."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..metrics import ZERO_ONE, paired
from ..run.answer_scores import Row

RowKey = tuple[Any, ...]
_FIELDS = frozenset(("bag", "kind", "question", "at_s", "window_s", "text", "status", "confidence", "scores", "frames"))


class ComparisonError(ValueError):
    """A run cannot be compared with; the text says why."""


def read_rows(folder: Path) -> list[Row]:
    """Read the answers of a finished run.

    Raises:
        ComparisonError: The folder has no answers.
    """
    path = folder / "results.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise ComparisonError(f"{path}: {error.strerror}: there is no finished run to compare with") from None
    except (ValueError, RecursionError) as error:
        raise ComparisonError(f"{path}: not results of llava-ov eval: {error}") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not row.keys() >= _FIELDS:
            raise ComparisonError(f"{path}:{number}: not results of llava-ov eval: it is no answer with its scores")
    return rows


def keyed(rows: Sequence[Row]) -> Iterator[tuple[RowKey, Row]]:
    """Yield each row with its key: question, bag, time, and a running number among rows that share all of these."""
    seen: Counter[RowKey] = Counter()
    for row in rows:
        # A question about a range has no window, whatever the row says of one.
        about = str(row["range_s"]) if "range_s" in row else row["window_s"]
        key = (row["bag"], row["kind"], row["question"], row["at_s"], about)
        seen[key] += 1
        yield (*key, seen[key]), row


def compare(ours: Sequence[Row], theirs: Sequence[Row], seed: int) -> dict[str, Any]:
    """Compare two runs question by question, ready for JSON.

    Args:
        ours: The rows of this run.
        theirs: The rows of the other run.
        seed: Seed of the bootstrap.

    Returns:
        `metrics`: for each metric, over the questions that both runs have: n, difference (ours minus theirs) with its
        95 % interval, better and worse. `questions`: for each row of ours the text, status, scores and frames of its
        counterpart, or None. `only_here` and `only_there`: the number of questions that only one run has.

    Raises:
        ComparisonError: The runs have no question in common.
    """
    before = dict(keyed(theirs))
    pairs = [(row, before.get(key)) for key, row in keyed(ours)]
    shared = [(row, other) for row, other in pairs if other is not None]
    if not shared:
        raise ComparisonError("the two runs have no question in common")
    names = dict.fromkeys(name for row, _ in shared for name in row["scores"])
    metrics = {}
    for name in names:
        both = [(row["scores"][name], other["scores"][name]) for row, other in shared if _has(name, row, other)]
        if both:
            found = paired([ours for ours, _ in both], [theirs for _, theirs in both], seed, name in ZERO_ONE)
            metrics[name] = {
                "n": found.n,
                "difference": round(found.difference, 6),
                "low": round(found.low, 6),
                "high": round(found.high, 6),
                "better": found.better,
                "worse": found.worse,
            }
    return {
        "metrics": metrics,
        "only_here": len(pairs) - len(shared),
        "only_there": len(before) - len(shared),
        "questions": [None if other is None else _beside(row, other) for row, other in pairs],
    }


def _has(name: str, row: Row, other: Row) -> bool:
    return name in row["scores"] and name in other["scores"]


def _beside(row: Row, other: Row) -> dict[str, Any]:
    """The other run's answer, and whether ours is better, worse or the same by all metrics that both rows have."""
    names = [name for name in row["scores"] if name in other["scores"]]
    changes = [row["scores"][name] - other["scores"][name] for name in names]
    total = sum(changes)
    change = "better" if total > 0 else "worse" if total < 0 else "same"
    return {
        "text": other["text"],
        "status": other["status"],
        "confidence": other["confidence"],
        "scores": other["scores"],
        "change": change,
        "same_frames": row["frames"] == other["frames"],
    }
