"""Accuracy of a model about fresh rooms, per category of question, beside the same model with gray pictures."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from ...no_op import no_op
from ...questions.kinds import SceneQuestion
from ...rooms.room_questions import CANNOT_TELL, CATEGORIES, OPPOSITE, Question, questions
from ...rooms.takes import Take, make_take, pictures
from ...rooms.view import make_view
from ..metrics.calibration import Calibration, calibration
from ..metrics.intervals import wilson_interval
from .typed_questions import scene_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

# Categories whose questions can be about combinations that training never shows.
HELD_OUT_CATEGORIES = ("colour", "presence", "where")
CLIP_FRAMES = 4
SINGLE_SHARE = 0.35
GRAY = 127
REVERSED = "reversed"
TOTAL = "total"

Answerer = Callable[[Sequence["Picture"], Sequence[str]], list[str]]
"""Answers questions about the frames of one clip; returns the texts in the order of the questions."""
Decider = Callable[[Sequence["Picture"], Sequence[SceneQuestion]], list[tuple[str, float]]]
"""Answers such questions by comparing given answers; returns text and probability of each winner, in order."""


@dataclass(frozen=True)
class RoomTrial:
    """A clip and the questions about it.

    Attributes:
        take: The room, and what happens in it during the clip.
        seed: Seed of the camera's shake and noise.
        asked: Questions with the right answers.
    """

    take: Take
    seed: str
    asked: tuple[Question, ...]

    def frames(self) -> list[Picture]:
        """The pictures, oldest first: RGB, uint8 (height, width, 3) each."""
        return pictures(self.take, Random(self.seed))


@dataclass
class Tally:
    """The counts of one category of question."""

    n: int = 0
    correct: int = 0
    blind: int | None = None

    def as_dict(self) -> dict[str, float | int]:
        """n, correct, accuracy with its 95 % interval (Wilson), and the share that the blind model answers rightly."""
        low, high = wilson_interval(self.correct, self.n)
        row: dict[str, float | int] = {
            "n": self.n,
            "correct": self.correct,
            "accuracy": round(self.correct / self.n, 4) if self.n else 0.0,
            "low": round(low, 4),
            "high": round(high, 4),
        }
        if self.blind is not None:
            row["blind"] = round(self.blind / self.n, 4) if self.n else 0.0
        return row


@dataclass
class AccuracyReport:
    """The result of an evaluation.

    Attributes:
        rows: Counts by category of question; `reversed` counts moves whose direction flips when the clip runs
            backwards.
        said_cannot_tell: Number of answers `cannot tell`, right or wrong.
        four_frame_s: Times of single answers about new clips of four frames, in seconds.
        wrong: Some wrong answers: category, question, right answer, given answer.
        decided: For questions answered by comparison, by kind of answer: probability of the winner, and whether the
            winner is right.
    """

    rows: dict[str, Tally] = field(default_factory=dict)
    said_cannot_tell: int = 0
    four_frame_s: list[float] = field(default_factory=list)
    wrong: list[tuple[str, str, str, str]] = field(default_factory=list)
    decided: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def calibrations(self) -> dict[str, Calibration]:
        """Calibration of the decided questions by kind of answer, and `total` of all; empty if none was decided."""
        if not self.decided:
            return {}
        every = [answer for answers in self.decided.values() for answer in answers]
        return {kind: calibration(answers) for kind, answers in sorted(self.decided.items())} | {
            TOTAL: calibration(every)
        }

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """The rows by category, ready for JSON; `cannot_tell` also has precision and recall."""
        table = {category: row.as_dict() for category, row in self.rows.items()}
        if (row := self.rows.get("cannot_tell")) is not None and row.n:
            said = self.said_cannot_tell
            table["cannot_tell"]["precision"] = round(row.correct / said, 4) if said else 0.0
            table["cannot_tell"]["recall"] = table["cannot_tell"]["accuracy"]
        return table

    def median_s(self) -> float:
        """Median time of an answer about a new clip of four frames, in seconds."""
        return median(self.four_frame_s) if self.four_frame_s else math.nan


@dataclass
class LiveTally:
    """The counts of one category of question that was asked twice: in process, and through a live node."""

    n: int = 0
    correct: int = 0
    live_correct: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """The fields of `Tally` in process; live_correct, live_accuracy, and difference (live minus in process)."""
        here, live = Tally(self.n, self.correct).as_dict(), Tally(self.n, self.live_correct).as_dict()
        difference = (self.live_correct - self.correct) / self.n if self.n else 0.0
        return here | {
            "live_correct": live["correct"],
            "live_accuracy": live["accuracy"],
            "difference": round(difference, 4),
        }


@dataclass
class Comparison:
    """The result of asking in process and through a live node.

    Attributes:
        pairs: Counts by category of question, and `total` of all.
        unlike: Questions with two different answers: category, question, right answer, answer in process, answer of the
            live node.
    """

    pairs: dict[str, LiveTally] = field(default_factory=dict)
    unlike: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """The pairs, ready for JSON."""
        return {category: pair.as_dict() for category, pair in self.pairs.items()}


def trials(
    seed: int,
    each: int,
    *,
    categories: Sequence[str] = CATEGORIES,
    held_out: bool = False,
    frames: int | None = None,
    sizes: Sequence[tuple[int, int]] | None = None,
) -> Iterator[RoomTrial]:
    """Draw fresh rooms with `each` questions of every category.

    Args:
        seed: Seed of all random choices; training uses none of these rooms.
        each: Number of questions of each category.
        categories: Categories of questions.
        held_out: Whether to ask only about combinations that training never shows.
        frames: Number of frames of each clip; None draws one or four.
        sizes: Widths and heights in pixels of the cameras' pictures to choose from; None means all of `make_view`.
    """
    left = Counter(dict.fromkeys(categories, each))
    number = 0
    while left.total() > 0:
        key = f"evaluate/{seed}/{number}"
        number += 1
        rng = Random(key)
        length = frames or (1 if rng.random() < SINGLE_SHARE else CLIP_FRAMES)
        short = {category for category, count in left.items() if count > 0}
        view = make_view(rng) if sizes is None else make_view(rng, sizes=sizes)
        # If only next_step questions are missing, draw only rooms that can have them.
        event = "episode" if short == {"next_step"} else None
        take = make_take(rng, length, event=event, combinations="held_out" if held_out else "trained", view=view)
        asked = []
        for question in questions(take, rng, categories, each=2):
            if left[question.category] > 0 and question.held_out == held_out:
                left[question.category] -= 1
                asked.append(question)
        if asked:
            yield RoomTrial(take, key, tuple(asked))


def evaluate(
    answer: Answerer,
    fresh: Iterator[RoomTrial],
    *,
    blind: bool = True,
    decide: Decider | None = None,
    on_asked: Callable[[int], None] = no_op,
) -> AccuracyReport:
    """Ask about fresh rooms, and count right answers.

    Args:
        answer: Asks the model for free answers.
        fresh: The clips and questions, from `trials`.
        blind: Whether to ask all questions once more with gray pictures.
        decide: Asks the model to compare answers, for the questions whose possible answers are known; None skips this.
        on_asked: Called with the number of questions asked.
    """
    report = AccuracyReport()
    for trial in fresh:
        frames = trial.frames()
        texts = [question.text for question in trial.asked]
        given = _answers(answer, frames, texts, report)
        gray = [np.full_like(frame, GRAY) for frame in frames]
        guessed = answer(gray, texts) if blind else [None] * len(texts)
        for question, said, guess in zip(trial.asked, given, guessed, strict=True):
            _count(report, question, said, guess)
        _ask_backwards(answer, frames, trial.asked, given, report)
        if decide is not None:
            _decide(decide, frames, trial.asked, report)
        on_asked(len(texts))
    report.rows = {one: report.rows[one] for one in (*CATEGORIES, REVERSED) if one in report.rows}
    return report


def compare(
    here: Answerer, live: Answerer, fresh: Iterator[RoomTrial], *, on_asked: Callable[[int], None] = no_op
) -> Comparison:
    """Ask all questions twice: in process, and through a live node.

    Args:
        here: Asks the model in process.
        live: Asks the same model in a live node.
        fresh: The clips and questions, from `trials`.
        on_asked: Called with the number of questions asked.
    """
    pairs: dict[str, LiveTally] = {}
    found = Comparison()
    for trial in fresh:
        frames = trial.frames()
        texts = [question.text for question in trial.asked]
        both = zip(trial.asked, here(frames, texts), live(frames, texts), strict=True)
        for question, said, said_live in both:
            for category in (question.category, TOTAL):
                pair = pairs.setdefault(category, LiveTally())
                pair.n += 1
                pair.correct += said == question.gold
                pair.live_correct += said_live == question.gold
            if said != said_live:
                found.unlike.append((question.category, question.text, question.gold, said, said_live))
        on_asked(len(texts))
    found.pairs = {one: pairs[one] for one in (*CATEGORIES, TOTAL) if one in pairs}
    return found


def _answers(answer: Answerer, frames: list[Picture], texts: list[str], report: AccuracyReport) -> list[str]:
    """All answers; the first answer about a clip of four frames is timed by itself."""
    if len(frames) != CLIP_FRAMES:
        return answer(frames, texts)
    began_s = time.perf_counter()
    first = answer(frames, texts[:1])
    report.four_frame_s.append(time.perf_counter() - began_s)
    return [*first, *(answer(frames, texts[1:]) if len(texts) > 1 else [])]


def _count(report: AccuracyReport, question: Question, said: str, guess: str | None) -> None:
    row = report.rows.setdefault(question.category, Tally())
    row.n += 1
    row.correct += said == question.gold
    if guess is not None:
        row.blind = (row.blind or 0) + (guess == question.gold)
    report.said_cannot_tell += said == CANNOT_TELL
    if said != question.gold:
        report.wrong.append((question.category, question.text, question.gold, said))


def _decide(decide: Decider, frames: list[Picture], asked: Sequence[Question], report: AccuracyReport) -> None:
    """Have the questions whose possible answers are known decided by comparison, and note the outcomes."""
    typed = [(question, scene) for question in asked if (scene := scene_question(question)) is not None]
    decided = decide(frames, [scene for _, scene in typed]) if typed else []
    for (question, scene), (said, probability) in zip(typed, decided, strict=True):
        report.decided.setdefault(str(scene.kind), []).append((probability, said == question.gold))


def _ask_backwards(
    answer: Answerer, frames: list[Picture], asked: Sequence[Question], given: Sequence[str], report: AccuracyReport
) -> None:
    """Count the moves whose direction flips when the clip runs backwards."""
    for question, said in zip(asked, given, strict=True):
        if question.direction and said in OPPOSITE:
            (backwards,) = answer(frames[::-1], [question.text])
            row = report.rows.setdefault(REVERSED, Tally())
            row.n += 1
            row.correct += backwards == OPPOSITE[said]
