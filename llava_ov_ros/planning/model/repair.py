"""The prompt that asks a model to repair a plan, with the plan's violations."""

from __future__ import annotations

from ...questions.prompts import PlanPrompts, filled
from ..findings import Finding
from ..validate.simulation import Validation
from ..vocabulary import Vocabulary

MOST_FINDINGS = 8


def repair_prompt(goal: str, validation: Validation, vocabulary: Vocabulary, prompts: PlanPrompts | None = None) -> str:
    """Build the prompt that asks for a repaired plan.

    Args:
        goal: The goal in a person's words.
        validation: The validation of a plan with violations; its warnings are left out.
        vocabulary: Vocabulary of the plan.
        prompts: Texts of the prompt; None uses the English defaults of `PlanPrompts`.

    Returns:
        The prompt: goal, plan, the first MOST_FINDINGS violations, the actions, and the form of the answer.

    Raises:
        ValueError: The plan has no violations.
    """
    violations = validation.violations
    if not violations:
        raise ValueError("the plan has no violations: there is nothing to repair")
    prompts = PlanPrompts() if prompts is None else prompts
    steps = [f"{number}. {step}" for number, step in enumerate(validation.plan.steps, 1)]
    problems = [f"- {_told(finding, prompts)}" for finding in violations[:MOST_FINDINGS]]
    if len(violations) > MOST_FINDINGS:
        problems.append(prompts.more_problems.replace("{number}", str(len(violations) - MOST_FINDINGS)))
    forms = [
        " ".join((one.name, *(f"<{argument.name}>" for argument in one.arguments)))
        for one in vocabulary.actions.values()
    ]
    return filled(
        prompts.repair,
        {
            "{goal}": goal,
            "{plan}": "\n".join(steps) or prompts.no_plan,
            "{problems}": "\n".join(problems),
            "{actions}": "; ".join(forms),
            "{most}": str(vocabulary.max_steps),
        },
    )


def _told(finding: Finding, prompts: PlanPrompts) -> str:
    """A violation in the words of the set of prompts, or its own text if the set has none for its code."""
    text = prompts.reasons.get(finding.reason, finding.text)
    if finding.step is None:
        return text
    return filled(prompts.problem, {"{number}": str(finding.step), "{problem}": text})
