"""Converts plans and steps to the fields of other packages' messages: plansys2_msgs/Plan and hri_actions_msgs/Intent.

Sources: PlanSys2/ros2_planning_system, plansys2_msgs/msg/PlanItem.msg and its POPF solver; ros4hri/hri_actions_msgs,
msg/Intent.msg (as of 2.x, whose first field is `intent`).
"""

from __future__ import annotations

import json
from typing import Any

from .plan_steps import Plan, Step
from .vocabulary import Action, Vocabulary

# Constants of hri_actions_msgs/Intent.
MOVE_TO, GRAB_OBJECT, PLACE_OBJECT = "__intent_move_to__", "__intent_grab_object__", "__intent_place_object__"
ROBOT_ITSELF = "__myself__"
MODALITY_INTERNAL = "__modality_internal__"
DEFAULT_PRIORITY = 128
# Effects with an intent of their own: the intent, and the thematic role of each name of the effect.
_ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "go_to": (MOVE_TO, ("goal",)),
    "pick_up": (GRAB_OBJECT, ("object",)),
    "put": (PLACE_OBJECT, ("object", "recipient")),
}


def plansys2_items(plan: Plan, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Convert a plan to the fields of plansys2_msgs/PlanItem: `time`, `action` and `duration` of each step.

    The duration of steps is not known, so each takes one unit of time, one after the other. Actions are written in
    lower case, as PDDL planners print them (PDDL is case-insensitive). An action that ends plans is omitted.
    """
    acting = [step for step in plan.steps if not _ends(step, vocabulary)]
    return [
        {"time": float(number), "action": f"({' '.join((step.action, *step.arguments)).lower()})", "duration": 1.0}
        for number, step in enumerate(acting)
    ]


def intent_fields(step: Step, confidence: float, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Convert a step to the fields of a hri_actions_msgs/Intent of the robot itself.

    An action whose only effect is to go somewhere, pick up or put gets the package's intent for that effect; for other
    actions the intent is the action's name. `data` is JSON: the thematic roles (goal, object, recipient) that follow
    from the effects, and in `other_data` the arguments without a role, by their names.

    Args:
        step: A well-formed step.
        confidence: Confidence of the step, 0 to 1.
        vocabulary: Vocabulary with the effects of the action.

    Returns:
        The fields; None if the action only ends a plan.

    Raises:
        ValueError: The step does not fit the vocabulary.
    """
    fault = vocabulary.fault(step)
    if fault is not None:
        raise ValueError(fault.text)
    if _ends(step, vocabulary):
        return None
    action = vocabulary.actions[step.action]
    given = {argument.name: value for argument, value in zip(action.arguments, step.arguments, strict=True)}
    roles = _roles(action, given)
    other = {name: value for name, value in given.items() if value not in roles.values()}
    data: dict[str, Any] = {**roles, **({"other_data": other} if other else {})}
    return {
        "intent": _intent(action),
        "data": json.dumps(data, ensure_ascii=False),
        "source": ROBOT_ITSELF,
        "modality": MODALITY_INTERNAL,
        "priority": DEFAULT_PRIORITY,
        "confidence": float(confidence),
    }


def _ends(step: Step, vocabulary: Vocabulary) -> bool:
    action = vocabulary.actions.get(step.action)
    return action is not None and action.ends


def _intent(action: Action) -> str:
    if len(action.effects) == 1 and action.effects[0].kind in _ROLES:
        return _ROLES[action.effects[0].kind][0]
    return action.name


def _roles(action: Action, given: dict[str, str]) -> dict[str, str]:
    """Thematic roles (goal, object, recipient) by the action's effects; the first effect with a role decides it."""
    roles: dict[str, str] = {}
    for effect in action.effects:
        # An effect on a state has no entry in _ROLES; its first name is the thing that changes.
        _, names = _ROLES.get(effect.kind, ("", ("object",)))
        for role, name in zip(names, effect.names, strict=False):
            # A name that is no argument is a class.
            roles.setdefault(role, given.get(name, name))
    return roles
