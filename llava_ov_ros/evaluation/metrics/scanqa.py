"""ScanQA's metrics (ATR-DBI/ScanQA, scripts/score.py): exact match, and captioning metrics of pycocoevalcap."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO

CAPTION_METRICS = ("Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4", "METEOR", "ROUGE_L", "CIDEr")
"""As score.py names them."""


@dataclass(frozen=True)
class NotAvailable:
    """Why captioning metrics are not there; nothing stands in for them."""

    reason: str


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1 where the answer is one of the right ones to the letter, else 0 (EM@1, score.py:65)."""
    return float(prediction in golds)


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
