"""Reads result rows in the format of LLaVA-Interleave-Bench: the model's answers beside the right answers."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .repeated_ids import repeats

SCORINGS = ("interleave", "scanqa", "yes_no", "count", "plan", "chinese")
"""The ways to score rows; see row_scores.py."""
MOST_FAULTS = 20


class ResultRowError(ValueError):
    """Rows cannot be scored; the text names file, line and field of each fault, one per line."""


@dataclass(frozen=True)
class ResultRow:
    """One answer.

    Attributes:
        where: File and line of the row, for errors.
        dataset: Name of the data set.
        sample_id: Id of the question within the data set.
        prediction: The model's answer (`pred_response`).
        gold: The right answer (`gt_response`): text, or another form that the metric reads.
        question_type: `open-ended` or `multi-choice` in rows of the official code.
        content: All fields of the row.
    """

    where: str
    dataset: str
    sample_id: str | int
    prediction: str
    gold: Any
    question_type: str
    content: Mapping[str, Any]


def read_rows(path: Path) -> list[ResultRow]:
    """Read a file with one row per line; blank lines are skipped.

    Raises:
        ResultRowError: The file cannot be read, has no rows, or has malformed rows; the text has all faults.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ResultRowError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ResultRowError(f"{path}: not text in UTF-8: {error}") from None
    rows: list[ResultRow] = []
    faults: list[str] = []
    # Not splitlines: JSON texts may hold line separators that do not end a line of the file.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            found = _row(line, f"{path}:{number}")
            if isinstance(found, ResultRow):
                rows.append(found)
            else:
                faults += found
    raise_faults(faults)
    if not rows:
        raise ResultRowError(f"{path}: there are no rows in it")
    return rows


def repeated(rows: Sequence[ResultRow]) -> list[str]:
    """Make a remark for each data set in which several rows answer one question.

    Such rows share data set, sample id and prompt. The turns of a dialogue share only data set and sample id.
    """
    by_set: dict[str, list[tuple[Hashable, str, str]]] = {}
    for row in rows:
        # The key is JSON, so that 7 and "7" are two ids, and a prompt can be of any type.
        key = json.dumps([row.sample_id, row.content.get("prompt")], ensure_ascii=False)
        named = json.dumps(row.sample_id, ensure_ascii=False)
        by_set.setdefault(row.dataset, []).append((key, named, f"line {row.where.rpartition(':')[2]}"))
    found = {dataset: repeats(its) for dataset, its in by_set.items()}
    return [f"{dataset}: {text}; every row counts" for dataset, text in found.items() if text]


def raise_faults(faults: list[str]) -> None:
    """Raise an error with all faults, if there are any.

    Raises:
        ResultRowError: `faults` is not empty; the text has the first MOST_FAULTS of them.
    """
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS} more"]
    if faults:
        raise ResultRowError("\n".join(faults))


def _row(line: str, where: str) -> ResultRow | list[str]:
    """Read one row; return the row, or a list of its faults."""
    try:
        content = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        return [f"{where}: not JSON: {error}"]
    except ValueError:
        return [f"{where}: a number in it has thousands of digits: write answers as texts, in quotation marks"]
    if not isinstance(content, dict):
        return [f"{where}: expected an object, not {line.strip()[:60]!r}"]
    faults = [
        fault
        for name, kinds in (
            ("dataset", (str,)),
            ("sample_id", (str, int)),
            ("pred_response", (str,)),
            ("gt_response", (str, list)),
            ("question_type", (str,)),
        )
        if (fault := _fault(content, name, kinds)) is not None
    ]
    if faults:
        return [f"{where}: {fault}" for fault in faults]
    return ResultRow(
        where=where,
        dataset=content["dataset"],
        sample_id=content["sample_id"],
        prediction=content["pred_response"],
        gold=content["gt_response"],
        question_type=content["question_type"],
        content=content,
    )


def _fault(content: Mapping[str, Any], name: str, kinds: tuple[type, ...]) -> str | None:
    if name not in content:
        return f"{name} is missing"
    value = content[name]
    # In Python a bool is an int, but true is no number in a row.
    if not isinstance(value, kinds) or isinstance(value, bool):
        words = {str: "text", int: "a number", list: "a list of texts"}
        return f"{name} is {str(value)[:60]!r}, expected {' or '.join(words[kind] for kind in kinds)}"
    if name == "dataset" and not str(value).strip():
        return f"{name} is empty"
    return None
