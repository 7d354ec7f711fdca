"""Reads the one-line form of a plan, strictly, with a vocabulary."""

from __future__ import annotations

from ..plan_steps import Plan, PlanError, split_line
from ..vocabulary import Vocabulary


def parse_line(line: str, vocabulary: Vocabulary) -> Plan:
    """Read a plan in the one-line form; accepts exactly the plans that the vocabulary's grammar allows.

    A plan has 1 to `vocabulary.max_steps` steps, each with the right number and classes of arguments, and after them at
    most one action that ends plans.

    Raises:
        PlanError: The line is no such plan; the message names the step and the fault.
    """
    plan = split_line(line)
    ended = False
    for number, step in enumerate(plan.steps, 1):
        fault = vocabulary.fault(step)
        if fault is not None:
            raise PlanError(f"step {number}: {fault.text}")
        if ended:
            raise PlanError(f"step {number} ({step}) comes after the end of the plan")
        ended = vocabulary.actions[step.action].ends
    acting = len(plan.steps) - ended
    if not 1 <= acting <= vocabulary.max_steps:
        raise PlanError(f"the plan has {acting} steps, the end not counted: expected 1 to {vocabulary.max_steps}")
    return plan
