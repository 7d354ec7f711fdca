"""Compares plans with the right plans: exact match, step F1, validity, and the goal conditions that hold in simulation.

The metrics are ALFRED's (askforalfred/alfred, models/eval/eval_task.py:102-206 and models/utils/metric.py), with the
simulation of `planning.validate` in place of ALFRED's environment and the plan's steps in place of low-level actions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...planning import Goal, Plan, Step, Vocabulary, conditions, read_plan, validate
from .statistics import mean


@dataclass(frozen=True)
class PlanScore:
    """The scores of one plan. An action that ends plans does not count as a step.

    Attributes:
        exact: Whether the steps are the right steps in the right order.
        step_f1: F1 of the steps as a bag, 0 to 1: the order does not matter.
        valid: Whether the whole text was read and every step can be done where it stands.
        conditions_met: Number of the goal's conditions that hold in the end; steps that cannot be done are skipped.
        conditions: Number of the goal's conditions; 0 without a goal.
        success: Whether the plan is valid and reaches the goal; None without a goal.
        steps: Number of steps.
        gold_steps: Number of steps of the right plan.
    """

    exact: bool
    step_f1: float
    valid: bool
    conditions_met: int
    conditions: int
    success: bool | None
    steps: int
    gold_steps: int

    @property
    def weighted_success(self) -> float | None:
        """Path-weighted success, 0 to 1: success * min(1, gold_steps / steps); None without a goal."""
        if self.success is None:
            return None
        return min(1.0, self.gold_steps / self.steps) if self.success else 0.0

    @property
    def goal_conditions(self) -> float | None:
        """Share of the goal's conditions that hold in the end, 0 to 1; None without a goal."""
        return self.conditions_met / self.conditions if self.conditions else None


PLAN_METRICS: Mapping[str, Callable[[PlanScore], float | None]] = {
    "plan_exact": lambda plan: float(plan.exact),
    "plan_step_f1": lambda plan: plan.step_f1,
    "plan_valid": lambda plan: float(plan.valid),
    "plan_goal_conditions": lambda plan: plan.goal_conditions,
    "plan_success": lambda plan: None if plan.success is None else float(plan.success),
    "plan_weighted_success": lambda plan: plan.weighted_success,
}
"""The value of each metric for one plan; None if the plan does not count because it has no goal."""


def score(prediction: str | Plan, gold: Plan, vocabulary: Vocabulary, goal: Goal | None = None) -> PlanScore:
    """Score one plan.

    Args:
        prediction: A plan, or the text of a plan, which `planning.read_plan` reads.
        gold: The right plan.
        vocabulary: The actions and classes that steps may have.
        goal: The goal that the plan is to reach; None if unknown.
    """
    unread = False
    if isinstance(prediction, str):
        reading = read_plan(prediction, vocabulary)
        prediction, unread = reading.plan, bool(reading.skipped)
    steps, right = _acting(prediction, vocabulary), _acting(gold, vocabulary)
    validation = validate(prediction, vocabulary)
    valid = validation.accepted and not unread
    success, met, of = None, 0, 0
    if goal is not None:
        holding = max((conditions(goal, world) for world in validation.worlds), key=sum)
        met, of = sum(holding), len(holding)
        success = valid and met == of
    return PlanScore(
        exact=steps == right and not unread,
        step_f1=bag_f1(steps, right),
        valid=valid,
        conditions_met=met,
        conditions=of,
        success=success,
        steps=len(steps),
        gold_steps=len(right),
    )


def bag_f1(said: Sequence[Step], right: Sequence[Step]) -> float:
    """F1 of two bags of steps, 0 to 1; 1 if both are empty (ALFRED's compute_f1, which compares words)."""
    if not said or not right:
        return float(not said and not right)
    common = (Counter(said) & Counter(right)).total()
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)


def summarised(scores: Sequence[PlanScore]) -> dict[str, float]:
    """Average the metrics over plans, as fractions; the metrics of goals only if plans have goals.

    As in ALFRED, `plan_goal_conditions` is the share of all plans' conditions that hold, and `plan_weighted_success` is
    weighted by the length of the right plans, so that longer tasks count more.
    """
    values = {
        "plan_exact": mean([float(one.exact) for one in scores]),
        "plan_step_f1": mean([one.step_f1 for one in scores]),
        "plan_valid": mean([float(one.valid) for one in scores]),
    }
    aimed = [one for one in scores if one.success is not None]
    if not aimed:
        return values
    length = sum(one.gold_steps for one in aimed)
    weighted = sum((one.weighted_success or 0.0) * one.gold_steps for one in aimed)
    return values | {
        "plan_goal_conditions": sum(one.conditions_met for one in aimed) / sum(one.conditions for one in aimed),
        "plan_success": mean([float(bool(one.success)) for one in aimed]),
        "plan_weighted_success": weighted / length if length else 0.0,
    }


def _acting(plan: Plan, vocabulary: Vocabulary) -> list[Step]:
    """The steps of a plan without actions that end plans; ALFRED leaves out <<stop>> likewise."""
    return [
        step for step in plan.steps if not (step.action in vocabulary.actions and vocabulary.actions[step.action].ends)
    ]
