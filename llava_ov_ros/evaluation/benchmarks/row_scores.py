"""Scores result rows without a model: one figure per data set, by the metric of a published benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...planning import Goal, GoalError, Plan, PlanError, Vocabulary, from_rows, goal_from, split_line
from ..metrics import (
    NotAvailable,
    captioning,
    chinese_texts,
    choice_lenient,
    count,
    exact_match,
    interleave,
    interval,
    mean,
    refined_match,
    yes_no,
)
from ..metrics import plan_scores as plans
from .result_rows import ResultRow, ResultRowError, raise_faults

SEED = 0
_OF_PAIRS: Mapping[str, Callable[[str, str], float]] = {"yes_no": yes_no, "count": count}


@dataclass(frozen=True)
class SetResult:
    """The scores of one data set. All figures are times 100, as benchmarks print them.

    Attributes:
        n: Number of rows that count.
        metric: Name of the metric.
        value: Mean score, 0 to 100; NaN if no row counts.
        low: Lower end of the 95 % interval: Wilson's for metrics of right and wrong, else by bootstrap over the rows.
        high: Upper end of the same interval.
        more: Further metrics of the same rows.
        not_available: The reason why some metrics are missing; empty if none is.
    """

    n: int
    metric: str
    value: float
    low: float
    high: float
    more: Mapping[str, float] = field(default_factory=dict)
    not_available: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: n, metric, value (None if no row counts), and the further metrics."""
        row = {"n": self.n, "metric": self.metric, "value": None if math.isnan(self.value) else self.value}
        missing = {"not_available": self.not_available} if self.not_available else {}
        return row | dict(self.more) | missing


def score_rows(rows: Sequence[ResultRow], scoring: str, vocabulary: Vocabulary | None = None) -> dict[str, SetResult]:
    """Score rows, data set by data set in the order of the rows.

    Args:
        rows: Answers with the right answers.
        scoring: One of SCORINGS.
        vocabulary: The vocabulary of plans; needed for `plan` only.

    Raises:
        ResultRowError: Rows cannot be scored by this metric; the text has all faults.
    """
    by_set: dict[str, list[ResultRow]] = {}
    for row in rows:
        by_set.setdefault(row.dataset, []).append(row)
    faults: list[str] = []
    results: dict[str, SetResult] = {}
    for dataset, its in by_set.items():
        try:
            if scoring == "interleave":
                results[dataset] = _interleave(its)
            elif scoring == "scanqa":
                results[dataset] = _scanqa(its)
            elif scoring == "chinese":
                results[dataset] = _chinese(its)
            elif scoring == "plan":
                assert vocabulary is not None, "plans need a vocabulary"
                results[dataset] = _plans(its, vocabulary)
            else:
                results[dataset] = _pairs(its, _OF_PAIRS[scoring])
        except ResultRowError as error:
            faults += str(error).split("\n")
    raise_faults(faults)
    return results


def _result(metric: str, scores: Sequence[float], zero_one: bool = True, **more: Any) -> SetResult:
    low, high = interval(scores, SEED, zero_one)
    return SetResult(len(scores), metric, 100 * mean(scores), 100 * low, 100 * high, **more)


def _interleave(rows: Sequence[ResultRow]) -> SetResult:
    _check_texts(rows)
    first = rows[0]
    try:
        kind = interleave.set_type(first.dataset, first.question_type)
    except ValueError as error:
        raise ResultRowError(f"{first.where}: {error}") from None
    scores = [interleave.score(kind, row.prediction, row.gold) for row in rows]
    counted = [one for one in scores if one is not None]
    if kind != interleave.MULTI_CHOICE:
        return _result(interleave.METRIC_NAMES[kind], counted, zero_one=False)
    lenient = mean([choice_lenient(row.prediction, row.gold) for row in rows])
    return _result(interleave.METRIC_NAMES[kind], counted, more={"choice_lenient": 100 * lenient})


def _golds(rows: Sequence[ResultRow]) -> list[list[str]]:
    """The right answers of every row, one or more per row.

    Raises:
        ResultRowError: A right answer is not a text.
    """
    golds: list[list[str]] = []
    faults: list[str] = []
    for row in rows:
        right = [row.gold] if isinstance(row.gold, str) else row.gold
        if not right or not all(isinstance(one, str) for one in right):
            faults.append(f"{row.where}: gt_response is {str(row.gold)[:60]!r}, expected text or a list of texts")
        golds.append(right)
    raise_faults(faults)
    return golds


def _chinese(rows: Sequence[ResultRow]) -> SetResult:
    golds = _golds(rows)

    def best(metric: Callable[[str, str], float]) -> list[float]:
        return [max(metric(row.prediction, gold) for gold in right) for row, right in zip(rows, golds, strict=True)]

    more = {"EM": chinese_texts.exact, "Rouge-L f": chinese_texts.rouge_l}
    further = {name: 100 * mean(best(one)) for name, one in more.items()}
    return _result("F1", best(chinese_texts.f1), zero_one=False, more=further)


def _scanqa(rows: Sequence[ResultRow]) -> SetResult:
    golds = _golds(rows)
    predictions = [row.prediction for row in rows]
    scores = [exact_match(said, right) for said, right in zip(predictions, golds, strict=True)]
    pairs = zip(predictions, golds, strict=True)
    refined = {"em_refined": 100 * mean([refined_match(said, right) for said, right in pairs])}
    captions = captioning(predictions, golds)
    if isinstance(captions, NotAvailable):
        return _result("EM@1", scores, more=refined, not_available=captions.reason)
    return _result("EM@1", scores, more=refined | {name: 100 * value for name, value in captions.items()})


def _pairs(rows: Sequence[ResultRow], metric: Callable[[str, str], float]) -> SetResult:
    _check_texts(rows)
    scores: list[float] = []
    faults: list[str] = []
    for row in rows:
        try:
            scores.append(metric(row.prediction, row.gold))
        except ValueError as error:
            faults.append(f"{row.where}: gt_response: {error}")
    raise_faults(faults)
    return _result("Accuracy", scores)


def _plans(rows: Sequence[ResultRow], vocabulary: Vocabulary) -> SetResult:
    scores: list[plans.PlanScore] = []
    faults: list[str] = []
    for row in rows:
        try:
            gold = _plan(row.gold)
        except PlanError as error:
            faults.append(f"{row.where}: gt_response: {error}")
            continue
        try:
            scores.append(plans.score(row.prediction, gold, vocabulary, _goal(row, vocabulary)))
        except GoalError as error:
            faults.append(f"{row.where}: pddl_params, task_type: {error}")
    raise_faults(faults)
    summary = {name: 100 * value for name, value in plans.summarised(scores).items()}
    del summary["plan_exact"]
    return _result("plan_exact", [float(one.exact) for one in scores], more=summary)


def _plan(gold: Any) -> Plan:
    return split_line(gold) if isinstance(gold, str) else from_rows(gold)


def _goal(row: ResultRow, vocabulary: Vocabulary) -> Goal | None:
    params, task_type = row.content.get("pddl_params"), row.content.get("task_type") or ""
    if params is None:
        return None
    if not isinstance(params, dict) or not isinstance(task_type, str):
        raise GoalError("expected an object such as {'object_target': 'Mug', ...} and a text")
    return goal_from(params, task_type, vocabulary)


def _check_texts(rows: Sequence[ResultRow]) -> None:
    raise_faults(
        [
            f"{row.where}: gt_response is {str(row.gold)[:60]!r}, expected text"
            for row in rows
            if not isinstance(row.gold, str)
        ]
    )
