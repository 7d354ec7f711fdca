"""Runs a suite: finds the open bags, collects their answers, and writes the results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...frames import NS_PER_S
from ..report.comparison import compare
from ..report.page import report
from ..report.summary import summary, timing
from ..suite.preflight import Job, Shard
from .answer_scores import Row, Scored, scored
from .answering_model import AnsweringModel
from .bag_answers import Ready, RowsAnswered, ShardEvent
from .journal import FRAMES, Journal, write_whole, writing


@dataclass(frozen=True)
class Pace:
    """The speed of a run, without its start-up.

    Attributes:
        asked: Number of questions and plans asked in this run, without those answered before.
        seconds: Seconds from the first loaded model to the last answer.
    """

    asked: int
    seconds: float


def open_shards(job: Job, journal: Journal) -> list[int]:
    """Numbers of the bags that are not finished, or that lack answers, as after a damaged journal."""
    return [
        shard.number
        for shard in job.shards
        if shard.number not in journal.remarks
        or any((shard.number, trial.number) not in journal.rows for trial in shard.trials)
    ]


class Collecting:
    """Writes events to the journal, and measures the pace of the run."""

    def __init__(self, journal: Journal, on_answered: Callable[[RowsAnswered], None]) -> None:
        """Prepare to collect events.

        Args:
            journal: The journal to write to.
            on_answered: Called with each event that has answers.
        """
        self._journal = journal
        self._on_answered = on_answered
        self._began_s: float | None = None
        self._ended_s = 0.0
        self._asked = 0

    def __call__(self, event: ShardEvent) -> None:
        """Write the next event to the journal."""
        self._ended_s = time.monotonic()
        if isinstance(event, Ready):
            self._began_s = self._ended_s if self._began_s is None else self._began_s
            return
        self._journal.take(event)
        if isinstance(event, RowsAnswered):
            self._asked += len(event.rows)
            self._on_answered(event)

    @property
    def pace(self) -> Pace:
        """The pace of the run so far."""
        return Pace(self._asked, 0.0 if self._began_s is None else self._ended_s - self._began_s)


def recorded_s(job: Job) -> float:
    """Total length of all bags in seconds."""
    return sum(length_s(shard) for shard in job.shards)


def length_s(shard: Shard) -> float:
    """Seconds from the first frame of a bag to the last."""
    first_ns = min(camera.topic.first_ns for camera in shard.cameras)
    return (max(camera.topic.last_ns for camera in shard.cameras) - first_ns) / NS_PER_S


def finish(
    job: Job,
    journal: Journal,
    pace: Pace,
    *,
    model: AnsweringModel,
    way: str,
    other: Sequence[Row] | None = None,
    compared_with: str = "",
    notice: str = "",
) -> dict[str, Any]:
    """Write results, summary, times, comparison and page.

    Args:
        job: The suite.
        journal: The journal with all answers.
        pace: The pace of the run.
        model: What has answered the questions.
        way: How questions were asked: in process or live.
        other: Rows of another run to compare with; None for no comparison.
        compared_with: Name of the other run.
        notice: Text that the page shows before everything else; empty for none.

    Returns:
        The summary.

    Raises:
        ComparisonError: The two runs have no question in common.
        WriteError: The results cannot be written, as on a full disk.
    """
    results: list[tuple[Shard, Scored]] = []
    for shard in job.shards:
        for trial in shard.trials:
            row = journal.rows[shard.number, trial.number]
            results.append((shard, scored(row, trial, job.metrics, job.vocabulary)))
    rows = [result.row for _, result in results]
    remarks = {shard.name: journal.remarks[shard.number] for shard in job.shards}
    table = summary(job, model, way, [result for _, result in results], remarks)
    times = timing(job, journal.timings, journal.rows) | pace_of(job, pace, len(rows))
    if delivery := [camera for shard in job.shards for camera in journal.delivery[shard.number]]:
        times["delivery"] = delivery
    comparison = None if other is None else compare(rows, other, job.suite.seed)
    folder = journal.folder
    page = report(
        table,
        times,
        [(shard, result.row) for shard, result in results],
        folder / FRAMES,
        comparison,
        compared_with,
        notice,
    )
    with writing(folder):
        write_whole(folder / "results.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        write_json(folder / "summary.json", table)
        write_json(folder / "timing.json", times)
        if comparison is not None:
            write_json(folder / "comparison.json", comparison)
        else:
            (folder / "comparison.json").unlink(missing_ok=True)
        write_whole(folder / "report.html", page)
    return table


def pace_of(job: Job, pace: Pace, total: int) -> dict[str, Any]:
    """The pace of a run, ready for JSON; `times_real_time` only if this run asked all questions itself."""
    found: dict[str, Any] = {
        "recorded_s": round(recorded_s(job), 3),
        "asked": pace.asked,
        "seconds": round(pace.seconds, 3),
    }
    if pace.asked == total and pace.seconds > 0:
        found["times_real_time"] = round(recorded_s(job) / pace.seconds, 2)
    return found


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
