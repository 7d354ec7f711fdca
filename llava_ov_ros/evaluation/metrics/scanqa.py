"""ScanQA's metrics (ATR-DBI/ScanQA, scripts/score.py): exact match, and captioning metrics of pycocoevalcap.

Beside them the refined exact match of LEO (embodied-generalist/embodied-generalist), which follow-ups report too.
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
"""As score.py names them."""


# What LEO writes in another way before it compares: slips of ScanQA's annotators, and numbers.
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
    """Why captioning metrics are not there; nothing stands in for them."""

    reason: str


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1 where the answer is one of the right ones to the letter, else 0 (EM@1, score.py:65)."""
    return float(prediction in golds)


def refined_match(prediction: str, golds: Sequence[str]) -> float:
    """1 where the answer is in one of the right ones, or one of them in it, else 0: LEO's refined exact match.

    As `em_refined` of embodied-generalist `567f2d80`, evaluator/scanqa_eval.py (answer_match) after data/data_utils.py
    (clean_answer): Huang et al., An Embodied Generalist Agent in 3D World, ICML 2024. Blanks do not count. In one thing
    it differs: nothing is in every text, so that LEO's code takes an empty answer for right, and here it is wrong.
    """
    said = "".join(cleaned(prediction).split())
    right = ["".join(cleaned(gold).split()) for gold in golds]
    return float(any(said and one and (said in one or one in said) for one in right))


def cleaned(text: str) -> str:
    """An answer as LEO compares it: lower case without most marks, numbers as words, and no articles."""
    text = re.sub(" {2,}", " ", text.lower().strip(" "))
    text = _TO_REWRITE.sub(lambda found: _REWRITTEN[found.group()], _DROPPED.sub("", text))
    text = _NUMBERED.sub(r"\1", _O_CLOCK.sub("o'clock", text))
    for article in _ARTICLES:
        text = article.sub(r"\1", text)
    return re.sub(r"\bbackwards\b", "backward", text)


def why_not_available() -> NotAvailable | None:
    """What this machine lacks for `captioning`; None: nothing."""
    # Looked for beneath the package, which has no __init__.py and so exists wherever a folder of its name does.
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
        The metrics of CAPTION_METRICS as fractions (CIDEr reaches 10), or what is missing here.

    Raises:
        ValueError: There are no answers, not as many as right ones, or a question without right ones.
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
        # BLEU prints as it goes.
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
    # The tokenizer takes one answer a line and would count further ones against the wrong questions.
    return " ".join(text.split())
