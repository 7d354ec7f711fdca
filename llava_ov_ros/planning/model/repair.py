"""The text that asks a model to correct a plan, once, given what is wrong with it."""

from __future__ import annotations

from ...questions.prompts import PlanPrompts, filled
from ..findings import Finding
from ..validate.simulation import Validation
from ..vocabulary import Vocabulary

MOST_FINDINGS = 8


def repair_prompt(goal: str, validation: Validation, vocabulary: Vocabulary, prompts: PlanPrompts | None = None) -> str:
    """Build the request.

    Args:
        goal: What was asked for, as a person said it.
        validation: Of a plan with violations; warnings are left out.
        vocabulary: What plans may say.
        prompts: How it is asked for; None: in English, as `PlanPrompts` has it.

    Returns:
        The text: goal, plan, the first MOST_FINDINGS violations, the actions, and the form of the answer.

    Raises:
        ValueError: There is nothing to repair.
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
    """A violation in the words of the set of prompts, where it has words for it."""
    text = prompts.reasons.get(finding.reason, finding.text)
    if finding.step is None:
        return text
    return filled(prompts.problem, {"{number}": str(finding.step), "{problem}": text})
