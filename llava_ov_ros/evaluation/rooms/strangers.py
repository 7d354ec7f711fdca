"""Counts how often a model says `cannot tell` about pictures that show no rendered room."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...rooms.room_questions import CANNOT_TELL, CATEGORIES, Question
from ..metrics.intervals import wilson_interval
from .accuracy import TOTAL, Decider
from .typed_questions import scene_question

if TYPE_CHECKING:
    from .accuracy import Picture

SureAnswerer = Callable[[Sequence["Picture"], Sequence[str]], list[tuple[str, float]]]
"""Answers questions about the frames of one clip; returns text and confidence (0 to 1) of each, in order."""


@dataclass
class Untold:
    """Counts of `cannot tell` among the answers to some questions.

    Attributes:
        n: Number of questions.
        cannot_tell: Number of answers `cannot tell`.
        sure: Confidence of each other answer, 0 to 1.
    """

    n: int = 0
    cannot_tell: int = 0
    sure: list[float] = field(default_factory=list)

    def count(self, said: str, confidence: float) -> None:
        """Count an answer."""
        self.n += 1
        if said == CANNOT_TELL:
            self.cannot_tell += 1
        else:
            self.sure.append(confidence)

    def as_dict(self) -> dict[str, float | int | None]:
        """n, cannot_tell, its share with the 95 % interval (Wilson), and the mean confidence of the other answers.

        The confidence is None if there are no other answers.
        """
        low, high = wilson_interval(self.cannot_tell, self.n)
        return {
            "n": self.n,
            "cannot_tell": self.cannot_tell,
            "share": round(self.cannot_tell / self.n, 4) if self.n else 0.0,
            "low": round(low, 4),
            "high": round(high, 4),
            "confidence": round(math.fsum(self.sure) / len(self.sure), 4) if self.sure else None,
        }


@dataclass
class StrangeReport:
    """The result of asking about pictures of something other than rendered rooms.

    Attributes:
        categories: Counts of free answers, by category of question.
        cameras: Counts of free answers, by camera.
        decided: Counts of compared answers, by kind of answer; empty if none were compared.
        others: The free answers other than `cannot tell`: camera, question, answer, confidence.
    """

    categories: dict[str, Untold] = field(default_factory=dict)
    cameras: dict[str, Untold] = field(default_factory=dict)
    decided: dict[str, Untold] = field(default_factory=dict)
    others: list[tuple[str, str, str, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """The counts, ready for JSON: `kinds` has those of the categories; it and `decided` have a `total` of all."""
        categories = {one: self.categories[one] for one in CATEGORIES if one in self.categories}
        tables = {
            "kinds": categories | {TOTAL: _together(categories)},
            "decided": dict(sorted(self.decided.items())) | ({TOTAL: _together(self.decided)} if self.decided else {}),
            "cameras": self.cameras,
        }
        return {name: {key: row.as_dict() for key, row in rows.items()} for name, rows in tables.items()}


def _together(rows: dict[str, Untold]) -> Untold:
    return Untold(
        sum(row.n for row in rows.values()),
        sum(row.cannot_tell for row in rows.values()),
        [confidence for row in rows.values() for confidence in row.sure],
    )


def ask_stranger(
    report: StrangeReport,
    camera: str,
    frames: Sequence[Picture],
    asked: Sequence[Question],
    answer: SureAnswerer,
    decide: Decider | None = None,
) -> None:
    """Ask questions about a clip that shows no rendered room, and count the answers.

    Args:
        report: The report in which the answers are counted.
        camera: Name of the camera of the clip.
        frames: Pictures of the clip, oldest first: RGB, uint8 (height, width, 3) each.
        asked: The questions; their right answers do not matter.
        answer: Asks the model for free answers.
        decide: Asks the model to compare answers, for the questions whose possible answers are known; None skips this.
    """
    given = answer(frames, [question.text for question in asked])
    for question, (said, confidence) in zip(asked, given, strict=True):
        report.categories.setdefault(question.category, Untold()).count(said, confidence)
        report.cameras.setdefault(camera, Untold()).count(said, confidence)
        if said != CANNOT_TELL:
            report.others.append((camera, question.text, said, confidence))
    typed = [scene for question in asked if (scene := scene_question(question)) is not None]
    if decide is not None and typed:
        for scene, (said, probability) in zip(typed, decide(frames, typed), strict=True):
            report.decided.setdefault(str(scene.kind), Untold()).count(said, probability)
