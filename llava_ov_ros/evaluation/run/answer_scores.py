"""Scores single answers: chooses the metrics that suit a question, and computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...planning import Plan, Vocabulary, from_rows, goal_from
from ...questions import Kind
from ...questions.chinese import has_han
from ..metrics import ANSWER_METRICS, CAPTION_METRICS, PLAN_METRICS, PlanScore
from ..metrics.plan_scores import score as score_plan
from ..suite.trials import PLAN, Gold, Trial

TEXTS = (Kind.TEXT, Kind.PHRASE)
YES_NO = (Kind.YES_NO, Kind.CHANGE)
# Metrics that score only right answers in Chinese.
CHINESE = ("em_zh", "f1_zh")
# Metrics computed only if a suite names them: they are other projects' rules for the same question.
ONLY_IF_NAMED = ("em_refined", "multi_choice", "choice_lenient")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "em": tuple(Kind),
    "em_refined": TEXTS,
    "rouge_l": TEXTS,
    "em_zh": TEXTS,
    "f1_zh": TEXTS,
    "multi_choice": (*TEXTS, Kind.CHOICE),
    "yes_no": YES_NO,
    "count": (Kind.COUNT,),
    "choice": (Kind.CHOICE,),
    "choice_lenient": (*TEXTS, Kind.CHOICE),
}
Row = dict[str, Any]
"""One line of results.jsonl."""


@dataclass(frozen=True)
class Scored:
    """A row with its scores.

    Attributes:
        row: The row, with `scores` filled in.
        plan: The score of the plan; None if the answer is not a plan.
    """

    row: Row
    plan: PlanScore | None = None


def suits(metric: str, trial: Trial) -> bool:
    """Whether a metric can score the answer to a question."""
    if trial.plan is not None:
        if metric not in PLAN_METRICS:
            return False
        needs_gold = metric in ("plan_exact", "plan_step_f1", "plan_weighted_success")
        needs_goal = metric in ("plan_goal_conditions", "plan_success", "plan_weighted_success")
        return not (needs_gold and trial.plan.rows is None) and not (needs_goal and trial.plan.conditions is None)
    if not trial.gold or (metric in CHINESE and not any(has_han(as_text(gold)) for gold in trial.gold)):
        return False
    return trial.kind in _KINDS.get(metric, TEXTS if metric in CAPTION_METRICS else ())


def metrics_of(trials: Sequence[Trial], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics of single answers that suit at least one question, in a fixed order.

    Args:
        trials: All questions.
        wanted: Names of the metrics to choose from; None means all except those of ONLY_IF_NAMED.
    """
    known = [*ANSWER_METRICS, *PLAN_METRICS]
    chosen = [name for name in known if (name not in ONLY_IF_NAMED if wanted is None else name in wanted)]
    return tuple(name for name in chosen if any(suits(name, trial) for trial in trials))


def said(row: Row) -> str:
    """An answer as text for metrics: yes, no or a number if its value is one, else its text; empty for a refusal."""
    if row["status"] != "OK":
        return ""
    value = row.get("value")
    if isinstance(value, bool | int):
        return as_text(value)
    text: str = row["text"]
    return text


def as_text(gold: Gold) -> str:
    """A right answer as text for metrics."""
    if isinstance(gold, bool):
        return "yes" if gold else "no"
    return str(gold)


def scored(row: Row, trial: Trial, metrics: Sequence[str], vocabulary: Vocabulary) -> Scored:
    """Score one answer. A refusal, such as STALE, scores 0.

    Args:
        row: The answer.
        trial: The question.
        metrics: Names of metrics, from `metrics_of`.
        vocabulary: The vocabulary of plans.
    """
    fitting = [name for name in metrics if suits(name, trial)]
    values: dict[str, float | None]
    plan = None
    if trial.kind == PLAN:
        plan = _plan_score(row, trial, vocabulary)
        values = {name: PLAN_METRICS[name](plan) for name in fitting}
    else:
        text, golds = said(row), [as_text(gold) for gold in trial.gold]
        values = {name: ANSWER_METRICS[name](text, golds, trial.choices) for name in fitting}
    scores = {name: round(value, 6) for name, value in values.items() if value is not None}
    return Scored(row | {"scores": scores}, plan)


def _plan_score(row: Row, trial: Trial, vocabulary: Vocabulary) -> PlanScore:
    assert trial.plan is not None
    gold = Plan(()) if trial.plan.rows is None else from_rows(trial.plan.rows)
    goal = None
    if trial.plan.conditions is not None:
        goal = goal_from(trial.plan.conditions, trial.plan.task_type, vocabulary)
    made = from_rows(row["steps"]) if row["status"] == "OK" and row["steps"] else Plan(())
    # Unread text makes a plan invalid: the scorer gets the text, and finds the unread parts again.
    return score_plan(row["text"] if row.get("unread") else made, gold, vocabulary, goal)
