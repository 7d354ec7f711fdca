"""ScanQA's metrics (ATR-DBI/ScanQA, scripts/score.py): exact match, and the captioning metrics of pycocoevalcap.

Also the refined exact match of LEO (embodied-generalist/embodied-generalist), which later papers report too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO

CAPTION_METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
"""The captioning metrics, with the names that score.py gives them."""


# Texts that LEO rewrites before it compares: slips of ScanQA's annotators, and numbers.
_REWRITTEN = {
    "letf": "left",
    "let": "left",
    "tehre": "there",
    "rigth": "right",
    "rght": "right",
    "behine": "behind",
    "tv": "TV",
    "chai": "chair",
    "wasing": "washing",
    "waslked": "walked",
    "oclock": "o'clock",
    "none": "zero",
    "0": "zero",
    "1": "one",
    "2": "two",
    "3": "three",
    "4": "four",
    "5": "five",
    "6": "six",
    "7": "seven",
    "8": "eight",
    "9": "nine",
    "10": "ten",
    "11": "eleven",
    "12": "twelve",
    "13": "thirteen",
    "14": "fourteen",
    "15": "fifteen",
    "16": "sixteen",
    "17": "seventeen",
    "18": "eighteen",
    "19": "nineteen",
    "20": "twenty",
    "23": "twenty-three",
}
_TO_REWRITE = re.compile(rf"\b(?:{'|'.join(sorted(_REWRITTEN, key=len, reverse=True))})\b")
_DROPPED = re.compile(r"[^a-z0-9,'\s:-]+")
_O_CLOCK = re.compile(r"\bo' +clock\b")
_NUMBERED = re.compile(r"\b([a-zA-Z]+)[0-9]\b")
_ARTICLES = tuple(re.compile(rf"\b{article}\b ([a-zA-Z]+)") for article in ("a", "an", "the"))


@dataclass(frozen=True)
class NotAvailable:
    """The reason why captioning metrics are missing; no other metric takes their place."""

    reason: str


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """Return 1 if the answer equals one of the right answers to the letter, else 0 (EM@1, score.py:65)."""
    return float(prediction in golds)


def refined_match(prediction: str, golds: Sequence[str]) -> float:
    """Return 1 if the answer is a part of a right answer, or a right answer is a part of it; else 0.

    This is LEO's refined exact match (Huang et al., An Embodied Generalist Agent in 3D World, ICML 2024): `em_refined`
    of embodied-generalist `567f2d80`, evaluator/scanqa_eval.py (answer_match) after data/data_utils.py (clean_answer).
    Blanks do not count. One case differs: an empty answer is wrong here. LEO's code takes an empty answer for right,
    because an empty text is a part of every text.
    """
    said = "".join(cleaned(prediction).split())
    right = ["".join(cleaned(gold).split()) for gold in golds]
    return float(any(said and one and (said in one or one in said) for one in right))


def cleaned(text: str) -> str:
    """Bring an answer into the form that LEO compares: lower case, numbers as words, no articles, few marks."""
    text = re.sub(" {2,}", " ", text.lower().strip(" "))
    text = _TO_REWRITE.sub(lambda found: _REWRITTEN[found.group()], _DROPPED.sub("", text))
    text = _NUMBERED.sub(r"\1", _O_CLOCK.sub("o'clock", text))
    for article in _ARTICLES:
        text = article.sub(r"\1", text)
    return re.sub(r"\bbackwards\b", "backward", text)


def why_not_available() -> NotAvailable | None:
    """Say what this machine lacks for `captioning`; None if nothing is missing."""
    # The package has no __init__.py, so any folder of its name would be found: look for a module below it.
    if find_spec("pycocoevalcap") is None or find_spec("pycocoevalcap.bleu.bleu") is None:
        return NotAvailable("the Python package pycocoevalcap is not installed: pip install pycocoevalcap==1.2")
    if shutil.which("java") is None:
        return NotAvailable("Java is not installed: apt install default-jre-headless")
    return None


def captioning(predictions: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, float] | NotAvailable:
    """BLEU-1 to 4, METEOR, ROUGE-L and CIDEr over all answers, by pycocoevalcap 1.2 after its PTB tokenizer.

    Args:
        predictions: One answer for each question.
        golds: The right answers for each question, one or more.

    Returns:
        The metrics of CAPTION_METRICS as fractions (CIDEr reaches 10), or what this machine lacks.

    Raises:
        ValueError: There are no answers, `golds` has another length, or a question has no right answer.
    """
    if len(predictions) != len(golds) or not predictions or not all(golds):
        raise ValueError(
            f"{len(predictions)} answers and {len(golds)} lists of right ones: one for each, none of them empty"
        )
    missing = why_not_available()
    if missing is not None:
        return missing
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    wanted = {number: [{"caption": _line(one)} for one in right] for number, right in enumerate(golds)}
    said = {number: [{"caption": _line(answer)}] for number, answer in enumerate(predictions)}
    try:
        values: list[float] = []
        # The BLEU scorer prints to standard output.
        with redirect_stdout(StringIO()):
            tokenizer = PTBTokenizer()
            wanted, said = tokenizer.tokenize(wanted), tokenizer.tokenize(said)
            for scorer in (Bleu(4), Meteor(), Rouge(), Cider()):
                found, _ = scorer.compute_score(wanted, said)
                values += [float(value) for value in (found if isinstance(found, list) else [found])]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return NotAvailable(f"pycocoevalcap failed: {error}")
    return dict(zip(CAPTION_METRICS, values, strict=True))


def _line(text: str) -> str:
    # The tokenizer takes one answer per line; a line break in an answer would shift all later answers.
    return " ".join(text.split())
