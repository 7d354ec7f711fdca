"""How often a model is right about fresh rooms, per category of question, beside the same model with gray pictures."""

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

# Categories about which it makes sense to ask whether the model has learnt parts or pairs.
HELD_OUT_CATEGORIES = ("colour", "presence", "where")
CLIP_FRAMES = 4
SINGLE_SHARE = 0.35
GRAY = 127
REVERSED = "reversed"
TOTAL = "total"

Answerer = Callable[[Sequence["Picture"], Sequence[str]], list[str]]
"""Answers questions about the frames of one clip, in order."""
Decider = Callable[[Sequence["Picture"], Sequence[SceneQuestion]], list[tuple[str, float]]]
"""Decides such questions by comparing their answers: the text and the probability of the one that wins, in order."""


@dataclass(frozen=True)
class RoomTrial:
    """A clip and what is asked about it.

    Attributes:
        take: What the clip shows.
        seed: Of the camera's shake and noise.
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
    """How one category of questions fared."""

    n: int = 0
    correct: int = 0
    blind: int | None = None

    def as_dict(self) -> dict[str, float | int]:
        """n, correct, accuracy, its 95 % interval (Wilson), and the share that the blind model gets right."""
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
    """What an evaluation found.

    Attributes:
        rows: By category of question; `reversed` counts moves whose direction flips when the clip runs backwards.
        said_cannot_tell: How often the model said that it cannot tell, rightly or not.
        four_frame_s: Times of single answers about new clips of four frames, in seconds.
        wrong: Some wrong answers: category, question, right answer, given answer.
        decided: Of questions that were decided by comparing answers, by kind of answer: probability of the one that
            won, and whether it is right.
    """

    rows: dict[str, Tally] = field(default_factory=dict)
    said_cannot_tell: int = 0
    four_frame_s: list[float] = field(default_factory=list)
    wrong: list[tuple[str, str, str, str]] = field(default_factory=list)
    decided: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def calibrations(self) -> dict[str, Calibration]:
        """Of the decided questions, by kind of answer; `total` is all together. Empty where none was decided."""
        if not self.decided:
            return {}
        every = [answer for answers in self.decided.values() for answer in answers]
        return {kind: calibration(answers) for kind, answers in sorted(self.decided.items())} | {
            TOTAL: calibration(every)
        }

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """Rows by category; `cannot_tell` has its precision and recall too."""
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
    """How one category of questions fared twice: asked in process, and through a live node."""

    n: int = 0
    correct: int = 0
    live_correct: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """As `Tally` has it in process; right answers of the live node, their share, and how much more that is."""
        here, live = Tally(self.n, self.correct).as_dict(), Tally(self.n, self.live_correct).as_dict()
        difference = (self.live_correct - self.correct) / self.n if self.n else 0.0
        return here | {
            "live_correct": live["correct"],
            "live_accuracy": live["accuracy"],
            "difference": round(difference, 4),
        }


@dataclass
class Comparison:
    """What asking twice found.

    Attributes:
        pairs: By category of question; `total` is all together.
        unlike: Questions with two answers: category, question, right answer, answer in process, answer of the node.
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
    """Fresh rooms with `each` questions of every category.

    Args:
        seed: Every choice follows from it; training uses none of these rooms.
        each: Questions of each category.
        categories: Of the questions.
        held_out: Only questions about combinations that training never shows.
        frames: Of each clip; None: one or four.
        sizes: Width and height of the cameras' pictures to choose from; None: all that make_view has.
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
        # Once only such questions are wanting, rooms that cannot have them would be drawn in vain.
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
    """Ask about fresh rooms.

    Args:
        answer: The model.
        fresh: What to ask.
        blind: Whether to ask all once more with gray pictures.
        decide: The model once more, for the questions among them whose possible answers are known.
        on_asked: Called with the number of questions done.
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
    """Ask all questions twice.

    Args:
        here: The model in process.
        live: The same model in a live node.
        fresh: What to ask.
        on_asked: Called with the number of questions done.
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
    """All answers; of a clip of four frames the first is timed by itself."""
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
    """Have those questions decided whose possible answers are known."""
    typed = [(question, scene) for question in asked if (scene := scene_question(question)) is not None]
    decided = decide(frames, [scene for _, scene in typed]) if typed else []
    for (question, scene), (said, probability) in zip(typed, decided, strict=True):
        report.decided.setdefault(str(scene.kind), []).append((probability, said == question.gold))


def _ask_backwards(
    answer: Answerer, frames: list[Picture], asked: Sequence[Question], given: Sequence[str], report: AccuracyReport
) -> None:
    """Whether directions flip when the clip runs backwards."""
    for question, said in zip(asked, given, strict=True):
        if question.direction and said in OPPOSITE:
            (backwards,) = answer(frames[::-1], [question.text])
            row = report.rows.setdefault(REVERSED, Tally())
            row.n += 1
            row.correct += backwards == OPPOSITE[said]
