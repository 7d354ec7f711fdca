"""How far the answers of two models to the same questions agree: counts, and one line of JSON for each question."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ..asking import Ask, Generated
from ..frames import Clip

MOST_FILE_BYTES = 32 * 2**20
"""A longer file is renamed (`.1`), and the one of that name before it is deleted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerPair:
    """The answers of two models to one question.

    Attributes:
        question: The text that both models were given.
        mode: Visual mode.
        frames: Stamps of the frames in nanoseconds, by camera.
        model: Name of the model whose answer counts.
        shadow: Name of the other model.
        text: The answer that counts.
        shadow_text: The other answer.
        same_text: Whether the texts are equal.
        same_choice: Whether the same choice is most probable; None: there were no choices.
        confidence: Confidence of the answer that counts.
        shadow_confidence: Confidence of the other answer.
        probability_difference: Largest difference of a choice's probability; without choices that of the confidences.
        total_s: Seconds that the answer took that counts.
        shadow_total_s: Seconds that the other answer took.
    """

    question: str
    mode: str
    frames: dict[str, list[int]]
    model: str
    shadow: str
    text: str
    shadow_text: str
    same_text: bool
    same_choice: bool | None
    confidence: float
    shadow_confidence: float
    probability_difference: float
    total_s: float
    shadow_total_s: float


def compared(
    ask: Ask, clips: Sequence[Clip], mode: str, names: tuple[str, str], ours: Generated, theirs: Generated
) -> AnswerPair:
    """Compare the answers of two models to one question.

    Args:
        ask: The question.
        clips: The clips that it is about.
        mode: Visual mode.
        names: Names of the model whose answer counts, and of the other one.
        ours: The answer that counts.
        theirs: The other answer.
    """
    difference = abs(ours.confidence - theirs.confidence)
    if ours.choices and len(ours.choices) == len(theirs.choices):
        pairs = zip(ours.choices, theirs.choices, strict=True)
        difference = max(abs(one.probability - other.probability) for one, other in pairs)
    return AnswerPair(
        question=ask.question,
        mode=mode,
        frames={clip.camera: [frame.stamp_ns for frame in clip.frames] for clip in clips},
        model=ours.model or names[0],
        shadow=theirs.model or names[1],
        text=ours.text,
        shadow_text=theirs.text,
        same_text=ours.text == theirs.text,
        same_choice=ours.text == theirs.text if ask.choices is not None else None,
        confidence=ours.confidence,
        shadow_confidence=theirs.confidence,
        probability_difference=difference,
        total_s=ours.total_s,
        shadow_total_s=theirs.total_s,
    )


class AgreementLog:
    """Counts comparisons and appends them to a file, which never grows beyond twice MOST_FILE_BYTES."""

    def __init__(self, file: Path | None) -> None:
        """Open the file; where that fails, a warning is logged and comparisons are only counted.

        Args:
            file: The file, whose folder is made; None: comparisons are only counted.
        """
        self._lock = threading.Lock()
        self._compared = self._same_text = self._choices = self._same_choice = self._skipped = self._failed = 0
        self._largest = 0.0
        self._file = ""
        self._handler: RotatingFileHandler | None = None
        if file is None:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._handler = RotatingFileHandler(file, maxBytes=MOST_FILE_BYTES, backupCount=1, encoding="utf-8")
            self._file = str(file)
        except OSError as error:
            _log.warning(f"the answers of shadow_model are only counted: {file} cannot be written ({error.strerror})")

    def add(self, one: AnswerPair) -> None:
        """Count a comparison and write it down."""
        with self._lock:
            self._compared += 1
            self._same_text += one.same_text
            self._choices += one.same_choice is not None
            self._same_choice += bool(one.same_choice)
            self._largest = max(self._largest, one.probability_difference)
            if self._handler is not None:
                line = json.dumps(asdict(one), ensure_ascii=False)
                self._handler.handle(logging.LogRecord("", logging.INFO, "", 0, line, None, None))

    def skip(self) -> None:
        """Count a question for which the shadow had no time."""
        with self._lock:
            self._skipped += 1

    def fail(self) -> None:
        """Count a question that the shadow did not answer."""
        with self._lock:
            self._failed += 1

    def counted(self) -> dict[str, int | str]:
        """The counts by name, and the file's path."""
        with self._lock:
            return {
                "shadow_compared": self._compared,
                "shadow_same_text": self._same_text,
                "shadow_choices": self._choices,
                "shadow_same_choice": self._same_choice,
                "shadow_largest_difference": f"{self._largest:.4f}",
                "shadow_skipped": self._skipped,
                "shadow_failed": self._failed,
                "shadow_file": self._file,
            }

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._handler is not None:
                self._handler.close()
                self._handler = None
