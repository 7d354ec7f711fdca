"""LLaVA-Interleave-Bench as its official code scores it (LLaVA-NeXT, llava/eval/evaluate_interleave.py)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .rouge import rouge_l

OPEN_ENDED, MULTI_CHOICE = "open-ended", "multi-choice"
QUESTION_TYPES = (OPEN_ENDED, MULTI_CHOICE)
# The one set whose rows are choices whatever they say.
_ALWAYS_CHOICES = "nlrv2"
MOST_CHARACTERS = 512
LETTERS = "abcdefgh"

# What the official code calls its two measures.
METRIC_NAMES: Mapping[str, str] = {OPEN_ENDED: "Rouge-L f", MULTI_CHOICE: "Accuracy"}

# evaluate_interleave.py:11-20. The sets of 3D tasks and those out of domain are in no category.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "spot_the_diff": ("Spot-the-Diff", "Birds-to-Words", "CLEVR-Change"),
    "image_edit_instruct": ("IEdit", "HQ-Edit", "MagicBrush"),
    "visual_story_telling": ("AESOP", "FlintstonesSV", "PororoSV", "VIST"),
    "visual_cloze": ("COMICS_Dialogue", "RecipeQA_VisualCloze"),
    "text_rich_vqa": ("WebQA", "TQA", "OCR-VQA", "DocVQA"),
    "multi_image_vqa": (
        "MIT-States_StateCoherence",
        "MIT-States_PropertyCoherence",
        "VISION",
        "RecipeQA_ImageCoherence",
    ),
    "puzzle": ("RAVEN",),
    "nlrv2": ("NLVR2_Mantis",),
    "qbench": ("QBench",),
}

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD_BEFORE_NO_DIGIT = re.compile(r"\.(?!\d)")
# The official code gives re.UNICODE where the number of replacements belongs.
_MOST_PERIODS = 32


@dataclass(frozen=True)
class SetScore:
    """How one data set fared.

    Attributes:
        n: Rows that count: all but those of open questions whose right answer is empty.
        metric: What the official code calls the measure.
        value: Its mean, 0 to 1; NaN where no row counts.
    """

    n: int
    metric: str
    value: float


def normalised(text: str) -> str:
    """A text as it is compared (`process` and `processPunctuation` of the official code).

    Each punctuation mark is deleted where it touches a blank anywhere in the text, or where the text has a comma
    between digits; otherwise it becomes a blank. At most 32 periods that no digit follows are deleted.
    """
    given = text.replace("\n", " ").replace("\t", " ").strip()
    in_number = _DIGIT_COMMA_DIGIT.search(given) is not None
    changed = given
    for mark in _PUNCTUATION:
        deleted = in_number or f"{mark} " in given or f" {mark}" in given
        changed = changed.replace(mark, "" if deleted else " ")
    changed = _PERIOD_BEFORE_NO_DIGIT.sub("", changed, count=_MOST_PERIODS)
    return changed.strip("'").strip('"').strip(")").strip("(").strip().lower()


def open_ended(prediction: str, gold: str) -> float | None:
    """ROUGE-L after `normalised`, of at most 512 characters of the prediction.

    Returns:
        0 to 1, or None: the right answer is empty, and the official code leaves the row out.
    """
    wanted, said = normalised(gold), normalised(prediction)
    # Of a text that is nothing but periods, the official code stops with an error.
    if not wanted.strip("."):
        return None
    return rouge_l(said[:MOST_CHARACTERS], wanted) if said else 0.0


def multi_choice(prediction: str, gold: str) -> float:
    """1 where both are the same after `normalised`, else 0.

    Of a prediction with a colon, the last piece between colons that is one of the letters a to h stands for it.
    """
    wanted, said = normalised(gold), normalised(prediction)
    if ":" in said:
        for piece in said.split(":"):
            letter = piece.strip()
            if len(letter) == 1 and letter in LETTERS:
                said = letter
    return float(said == wanted)


def score(question_type: str, prediction: str, gold: str) -> float | None:
    """The score of one row, 0 to 1; None: it does not count.

    Args:
        question_type: `open-ended` or `multi-choice`.
        prediction: What was answered.
        gold: What would be right.

    Raises:
        ValueError: The question type is neither.
    """
    if question_type == OPEN_ENDED:
        return open_ended(prediction, gold)
    if question_type == MULTI_CHOICE:
        return multi_choice(prediction, gold)
    raise ValueError(f"question_type is {question_type!r}: expected {' or '.join(QUESTION_TYPES)}")


def set_type(dataset: str, first_question_type: str) -> str:
    """The question type by which all rows of a data set are scored: that of its first row.

    Raises:
        ValueError: It is none that is scored.
    """
    if first_question_type == OPEN_ENDED:
        return OPEN_ENDED
    if first_question_type == MULTI_CHOICE or dataset == _ALWAYS_CHOICES:
        return MULTI_CHOICE
    raise ValueError(f"question_type is {first_question_type!r}: expected {' or '.join(QUESTION_TYPES)}")


def set_score(question_type: str, scores: Iterable[float | None]) -> SetScore:
    """The score of a data set from those of its rows."""
    counted = [one for one in scores if one is not None]
    value = math.fsum(counted) / len(counted) if counted else math.nan
    return SetScore(len(counted), METRIC_NAMES[question_type], value)


def categories(values: Mapping[str, float]) -> dict[str, float]:
    """The official averages over categories: the mean of those data sets of each that are there.

    Args:
        values: Of the data sets, by name.
    """
    found: dict[str, float] = {}
    for name, datasets in CATEGORIES.items():
        present: Sequence[float] = [values[dataset] for dataset in datasets if dataset in values]
        if present:
            found[name] = sum(present) / len(present)
    return found
