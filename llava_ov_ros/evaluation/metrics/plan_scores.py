"""Plans beside the right ones: exact match, step F1, validity, and what they reach in simulation.

ALFRED's measures (askforalfred/alfred, models/eval/eval_task.py:102-206 and models/utils/metric.py) on the level of
plans: its environment is replaced by the simulation of `tasks.planning`, its low-level actions by the plan's steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...planning import Goal, Plan, Step, Vocabulary, conditions, read_plan, validate
from .statistics import mean


@dataclass(frozen=True)
class PlanScore:
    """How good one plan is.

    Attributes:
        exact: The steps are the right ones in the right order; an action that ends plans is not counted.
        step_f1: F1 of the steps as a bag: how many of the right ones are there, whatever their order.
        valid: Everything was read, and every step can be done where it stands.
        conditions_met: Conditions of the goal that hold in the end, steps that cannot be done left out.
        conditions: How many the goal has; 0 where there is no goal.
        success: It is valid and the goal is reached; None where there is no goal.
        steps: Its length, an action that ends plans not counted.
        gold_steps: That of the right plan.
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
        """Success, less for a plan that is longer than the right one: success * min(1, gold_steps / steps)."""
        if self.success is None:
            return None
        return min(1.0, self.gold_steps / self.steps) if self.success else 0.0

    @property
    def goal_conditions(self) -> float | None:
        """Share of the goal's conditions that hold in the end."""
        return self.conditions_met / self.conditions if self.conditions else None


PLAN_METRICS: Mapping[str, Callable[[PlanScore], float | None]] = {
    "plan_exact": lambda plan: float(plan.exact),
    "plan_step_f1": lambda plan: plan.step_f1,
    "plan_valid": lambda plan: float(plan.valid),
    "plan_goal_conditions": lambda plan: plan.goal_conditions,
    "plan_success": lambda plan: None if plan.success is None else float(plan.success),
    "plan_weighted_success": lambda plan: plan.weighted_success,
}
"""What each metric is of one plan; None: the plan does not count, since there is no goal."""


def score(prediction: str | Plan, gold: Plan, vocabulary: Vocabulary, goal: Goal | None = None) -> PlanScore:
    """Score one plan.

    Args:
        prediction: A plan, or text that shall be one; it is read as `tasks.planning.read_plan` reads it.
        gold: The right plan.
        vocabulary: What steps there are.
        goal: What it shall reach; None: not said.
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
    """F1 of two bags of steps, 0 to 1 (compute_f1 of ALFRED, there of words); of two empty ones 1."""
    if not said or not right:
        return float(not said and not right)
    common = (Counter(said) & Counter(right)).total()
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(right)
    return 2 * precision * recall / (precision + recall)


def summarised(scores: Sequence[PlanScore]) -> dict[str, float]:
    """Metrics over plans, as fractions; those of goals only where plans have goals.

    Goal conditions and weighted success are ALFRED's: all conditions that hold among all there are, and success
    weighted by the length of the right plans, so that longer tasks count for more.
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
    """The steps without actions that end plans, as ALFRED leaves <<stop>> out."""
    return [
        step for step in plan.steps if not (step.action in vocabulary.actions and vocabulary.actions[step.action].ends)
    ]
