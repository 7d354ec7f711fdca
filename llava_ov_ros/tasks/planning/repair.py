"""The text that asks a model to correct a plan, once, given what is wrong with it."""

from __future__ import annotations

from .simulation import Validation
from .vocabulary import Vocabulary

MOST_FINDINGS = 8


def repair_prompt(goal: str, validation: Validation, vocabulary: Vocabulary) -> str:
    """Build the request.

    Args:
        goal: What was asked for, as a person said it.
        validation: Of a plan with violations; warnings are left out.
        vocabulary: What plans may say.

    Returns:
        The text: goal, plan, the first MOST_FINDINGS violations, the actions, and the form of the answer.

    Raises:
        ValueError: There is nothing to repair.
    """
    violations = validation.violations
    if not violations:
        raise ValueError("the plan has no violations: there is nothing to repair")
    lines = [f"Goal: {goal}", "This plan does not work:"]
    lines += [f"{number}. {step}" for number, step in enumerate(validation.plan.steps, 1)] or ["(no steps)"]
    lines.append("What is wrong with it:")
    lines += [f"- {finding}" for finding in violations[:MOST_FINDINGS]]
    if len(violations) > MOST_FINDINGS:
        lines.append(f"- and {len(violations) - MOST_FINDINGS} more, which may follow from these")
    forms = [
        " ".join((one.name, *(f"<{argument.name}>" for argument in one.arguments)))
        for one in vocabulary.actions.values()
    ]
    lines.append(f"Allowed steps, at most {vocabulary.max_steps}: {'; '.join(forms)}")
    lines.append("Write the whole corrected plan in one line, steps separated by semicolons, and nothing else.")
    return "\n".join(lines)
