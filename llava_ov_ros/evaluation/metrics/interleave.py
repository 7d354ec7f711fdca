"""LLaVA-Interleave-Bench's scores, as in its official code (LLaVA-NeXT, llava/eval/evaluate_interleave.py)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .rouge import rouge_l

OPEN_ENDED, MULTI_CHOICE = "open-ended", "multi-choice"
QUESTION_TYPES = (OPEN_ENDED, MULTI_CHOICE)
# The only data set whose rows are multi-choice whatever their question type says.
_ALWAYS_CHOICES = "nlrv2"
MOST_CHARACTERS = 512
LETTERS = "abcdefgh"

# The official code's names of its two metrics.
METRIC_NAMES: Mapping[str, str] = {OPEN_ENDED: "Rouge-L f", MULTI_CHOICE: "Accuracy"}

# evaluate_interleave.py:11-20. Data sets of 3D tasks and out-of-domain data sets are in no category.
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
# The official code passes re.UNICODE (32) as the number of replacements.
_MOST_PERIODS = 32


@dataclass(frozen=True)
class SetScore:
    """The score of one data set.

    Attributes:
        n: Number of rows that count: all except open questions whose gold is empty.
        metric: The official code's name of the metric.
        value: Mean score, 0 to 1; NaN if no row counts.
    """

    n: int
    metric: str
    value: float


def normalised(text: str) -> str:
    """Bring a text into the form that is compared (`process` and `processPunctuation` of the official code).

    A punctuation mark is deleted if it touches a blank anywhere in the text, or if the text has a comma between digits;
    otherwise it becomes a blank. At most 32 periods that are not followed by a digit are deleted.
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
    """ROUGE-L of prediction and gold after `normalised`; only the first 512 characters of the prediction count.

    Returns:
        0 to 1; None if the gold is empty, because the official code leaves such a row out.
    """
    wanted, said = normalised(gold), normalised(prediction)
    # The official code stops with an error at a text of nothing but periods.
    if not wanted.strip("."):
        return None
    return rouge_l(said[:MOST_CHARACTERS], wanted) if said else 0.0


def multi_choice(prediction: str, gold: str) -> float:
    """Return 1 if prediction and gold are equal after `normalised`, else 0.

    A prediction with colons is replaced by the last piece between colons that is one of the letters a to h, if any.
    """
    wanted, said = normalised(gold), normalised(prediction)
    if ":" in said:
        for piece in said.split(":"):
            letter = piece.strip()
            if len(letter) == 1 and letter in LETTERS:
                said = letter
    return float(said == wanted)


def score(question_type: str, prediction: str, gold: str) -> float | None:
    """Score one row from 0 to 1; None if the row does not count.

    Args:
        question_type: `open-ended` or `multi-choice`.
        prediction: The model's answer.
        gold: The right answer.

    Raises:
        ValueError: The question type is neither of the two.
    """
    if question_type == OPEN_ENDED:
        return open_ended(prediction, gold)
    if question_type == MULTI_CHOICE:
        return multi_choice(prediction, gold)
    raise ValueError(f"question_type is {question_type!r}: expected {' or '.join(QUESTION_TYPES)}")


def set_type(dataset: str, first_question_type: str) -> str:
    """Return the question type by which all rows of a data set are scored: the type of its first row.

    Raises:
        ValueError: The question type is neither `open-ended` nor `multi-choice`.
    """
    if first_question_type == OPEN_ENDED:
        return OPEN_ENDED
    if first_question_type == MULTI_CHOICE or dataset == _ALWAYS_CHOICES:
        return MULTI_CHOICE
    raise ValueError(f"question_type is {first_question_type!r}: expected {' or '.join(QUESTION_TYPES)}")


def set_score(question_type: str, scores: Iterable[float | None]) -> SetScore:
    """Summarise the scores of the rows of a data set."""
    counted = [one for one in scores if one is not None]
    value = math.fsum(counted) / len(counted) if counted else math.nan
    return SetScore(len(counted), METRIC_NAMES[question_type], value)


def categories(values: Mapping[str, float]) -> dict[str, float]:
    """Average the data sets of each category, as the official code does; data sets that are missing are left out.

    Args:
        values: The score of each data set, by the data set's name.
    """
    found: dict[str, float] = {}
    for name, datasets in CATEGORIES.items():
        present: Sequence[float] = [values[dataset] for dataset in datasets if dataset in values]
        if present:
            found[name] = sum(present) / len(present)
    return found
