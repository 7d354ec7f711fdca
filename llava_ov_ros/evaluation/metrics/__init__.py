"""Metrics of answers and plans, as pure functions; docs/metrics.md names the publication of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...questions.chinese import has_han
from . import chinese_texts
from .choices import choice, count, yes_no
from .interleave import SetScore, multi_choice, normalised, open_ended
from .lenient import choice_lenient
from .plan_scores import PLAN_METRICS, PlanScore
from .refusals import Refusals, refusals
from .rouge import rouge_l
from .scanqa import CAPTION_METRICS, NotAvailable, captioning, exact_match, refined_match
from .statistics import Paired, bootstrap_interval, interval, mean, paired

AnswerMetric = Callable[[str, Sequence[str], Sequence[str]], float | None]
"""Scores one answer from 0 to 1. Arguments: the answer, the right answers, the choices. None: the row does not count.

Raises ValueError if the metric cannot be used with these right answers.
"""


def _best(score: Callable[[str, str], float | None]) -> AnswerMetric:
    """Make a metric for several right answers from a metric for one: the highest score counts."""

    def scored(prediction: str, golds: Sequence[str], choices: Sequence[str]) -> float | None:
        return max((one for gold in golds if (one := score(prediction, gold)) is not None), default=None)

    return scored


def _of_its_language(prediction: str, gold: str) -> float | None:
    """ROUGE-L as in LLaVA-Interleave-Bench, or by characters if the right answer is in Chinese."""
    return chinese_texts.rouge_l(prediction, gold) if has_han(gold) else open_ended(prediction, gold)


def _of_chinese(score: Callable[[str, str], float]) -> AnswerMetric:
    """Make a metric that counts only rows whose right answers are in Chinese."""
    return _best(lambda prediction, gold: score(prediction, gold) if has_han(gold) else None)


ANSWER_METRICS: Mapping[str, AnswerMetric] = {
    "em": lambda prediction, golds, choices: exact_match(prediction, golds),
    "em_refined": lambda prediction, golds, choices: refined_match(prediction, golds),
    "rouge_l": _best(_of_its_language),
    "em_zh": _of_chinese(chinese_texts.exact),
    "f1_zh": _of_chinese(chinese_texts.f1),
    "multi_choice": _best(multi_choice),
    "yes_no": _best(yes_no),
    "count": _best(count),
    "choice": lambda prediction, golds, choices: max(choice(prediction, gold, choices) for gold in golds),
    "choice_lenient": lambda prediction, golds, choices: max(choice_lenient(prediction, one, choices) for one in golds),
}
"""Metrics of single answers, by name.

`rouge_l` and `multi_choice` come from LLaVA-Interleave-Bench, `em_refined` from LEO, `em_zh` and `f1_zh` from CMRC
2018.
"""

METRICS: frozenset[str] = frozenset((*ANSWER_METRICS, *PLAN_METRICS, *CAPTION_METRICS))
"""The names of all metrics: of single answers, of plans, and of all answers together (captioning)."""

ZERO_ONE: frozenset[str] = frozenset(
    (
        *("em", "em_refined", "em_zh", "multi_choice", "yes_no", "count", "choice", "choice_lenient"),
        *("plan_exact", "plan_valid", "plan_success"),
    )
)
"""Metrics whose scores are 1 (right) or 0 (wrong); their intervals are intervals of shares."""

__all__ = [
    "ANSWER_METRICS",
    "CAPTION_METRICS",
    "METRICS",
    "PLAN_METRICS",
    "ZERO_ONE",
    "AnswerMetric",
    "NotAvailable",
    "Paired",
    "PlanScore",
    "Refusals",
    "SetScore",
    "bootstrap_interval",
    "captioning",
    "chinese_texts",
    "choice",
    "choice_lenient",
    "count",
    "exact_match",
    "interval",
    "mean",
    "multi_choice",
    "normalised",
    "open_ended",
    "paired",
    "refined_match",
    "refusals",
    "rouge_l",
    "yes_no",
]
