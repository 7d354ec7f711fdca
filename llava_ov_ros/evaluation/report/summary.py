"""Figures of a run: each metric with its interval, by kind, category and bag; how questions ended; latency."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...questions import Status
from ...questions.spread import spread
from ..metrics import (
    CAPTION_METRICS,
    ZERO_ONE,
    NotAvailable,
    PlanScore,
    bootstrap_interval,
    captioning,
    interval,
    mean,
    refusals,
)
from ..run.answer_scores import TEXTS, Row, Scored, as_text, said
from ..run.answering_model import AnsweringModel
from ..suite.preflight import Job
from ..suite.trials import PLAN
from .calibration_record import calibration_record

DECIMALS = 6
# Weights of plans, as in ALFRED: number of goal conditions, number of steps of the right plan.
_WEIGHTS: Mapping[str, Callable[[PlanScore], int]] = {
    "plan_goal_conditions": lambda plan: plan.conditions,
    "plan_weighted_success": lambda plan: plan.gold_steps,
}


def summary(
    job: Job, model: AnsweringModel, way: str, results: Sequence[Scored], remarks: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Compute all figures of a run, ready for JSON; no figure depends on measured times.

    Args:
        job: The suite.
        model: What has answered the questions.
        way: How questions were asked: in process or live.
        results: Every answer with its scores.
        remarks: Remarks on the cameras of each bag.
    """
    rows = [result.row for result in results]
    seed = job.suite.seed
    statuses = [Status[row["status"]] for row in rows]
    ended = refusals(statuses)
    table = {
        "suite": job.suite.name,
        "model": model.name,
        **({"server": {"address": model.address, "version": model.version}} if model.address else {}),
        "way": way,
        "prompts": job.prompts.identity,
        "mode": job.suite.model.mode,
        "seed": seed,
        "questions": len(rows),
        "scored": sum(bool(row["scores"]) for row in rows),
        "statuses": {status.name: count for status, count in sorted(Counter(statuses).items())},
        "stale": 0.0 if ended is None else _rounded(ended.stale),
        "refused": 0.0 if ended is None else _rounded(ended.refused),
        "metrics": figures(results, job.metrics, seed),
    }
    for name, key in (("kinds", "kind"), ("categories", "category"), ("bags", "bag")):
        found = dict.fromkeys(row[key] for row in rows if row[key])
        table[name] = {
            value: figures([result for result in results if result.row[key] == value], job.metrics, seed)
            for value in (found if name == "bags" else sorted(found))
        }
    if (captions := _captions(job, rows)) is not None:
        table["captioning"] = captions
    if (calibrated := calibration_record(_judged(rows))) is not None:
        table["calibration"] = calibrated
    table["remarks"] = {name: list(lines) for name, lines in remarks.items()}
    return table


def figures(results: Sequence[Scored], metrics: Iterable[str], seed: int) -> dict[str, dict[str, float | int]]:
    """Compute n, mean and 95 % interval of each metric that some answers have.

    The interval is Wilson's for metrics of right and wrong, otherwise a bootstrap's.
    """
    found: dict[str, dict[str, float | int]] = {}
    for name in metrics:
        having = [result for result in results if name in result.row["scores"]]
        if not having:
            continue
        scores = [result.row["scores"][name] for result in having]
        weigh = _WEIGHTS.get(name)
        if weigh is None:
            value, (low, high) = mean(scores), interval(scores, seed, name in ZERO_ONE)
        else:
            weights = [weigh(result.plan) for result in having if result.plan is not None]
            value, low, high = _weighted(scores, weights, seed)
        found[name] = {"n": len(scores), "value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}
    return found


def _weighted(scores: Sequence[float], weights: Sequence[int], seed: int) -> tuple[float, float, float]:
    """A weighted mean and its interval; 0 and the whole range if all weights are 0."""
    if not any(weights):
        return 0.0, 0.0, 1.0
    low, high = bootstrap_interval(scores, seed, weights=weights)
    return math.fsum(map(math.prod, zip(scores, weights, strict=True))) / math.fsum(weights), low, high


def timing(
    job: Job, timings: Mapping[tuple[int, int], Mapping[str, Any]], rows: Mapping[tuple[int, int], Row]
) -> dict[str, Any]:
    """Collect the times of single answers, their medians and 95th percentiles, in seconds; refusals do not count.

    Args:
        job: The suite.
        timings: Times of each answer, by number of the bag and of the trial.
        rows: The answers, by the same numbers.
    """
    answered = [timings[key] for key in sorted(timings) if rows[key]["status"] == "OK"]
    found = {
        name: one
        for name in ("first_token_s", "total_s", "round_trip_s")
        if (one := spread([its[name] for its in answered if its.get(name) is not None])) is not None
    }
    return {
        "latency": {
            name: {"n": one.n, "median": _rounded(one.median_s), "p95": _rounded(one.p95_s)}
            for name, one in found.items()
        },
        "answers": [
            {"bag": job.shards[key[0]].name, **{name: _time(value) for name, value in timings[key].items()}}
            for key in sorted(timings)
        ],
    }


def _time(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value


def _captions(job: Job, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Captioning metrics of all open answers together; None if the suite names none, because they take a while."""
    open_rows = [row for row in rows if row["kind"] in TEXTS and row["gold"]]
    if set(CAPTION_METRICS).isdisjoint(job.suite.metrics or ()) or not open_rows:
        return None
    found = captioning([said(row) for row in open_rows], [[as_text(gold) for gold in row["gold"]] for row in open_rows])
    if isinstance(found, NotAvailable):
        return {"not_available": found.reason}
    return {"n": len(open_rows), **{name: _rounded(value) for name, value in found.items()}}


def _judged(rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """Confidence of each scored answer to a question, and whether the answer is right by `em`."""
    return [
        (row["confidence"], row["scores"]["em"] == 1)
        for row in rows
        if row["status"] == "OK" and row["kind"] != PLAN and "em" in row["scores"]
    ]


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
