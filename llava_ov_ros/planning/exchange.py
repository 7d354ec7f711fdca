"""Plans and steps in the shapes of other packages' messages: plansys2_msgs/Plan and hri_actions_msgs/Intent.

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
# What effects that have an intent of their own make of its thematic roles, by the places of their names.
_ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "go_to": (MOVE_TO, ("goal",)),
    "pick_up": (GRAB_OBJECT, ("object",)),
    "put": (PLACE_OBJECT, ("object", "recipient")),
}


def plansys2_items(plan: Plan, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """A plan as the fields of each plansys2_msgs/PlanItem: `time`, `action` and `duration`.

    The steps follow one another; how long they take is not known, so each has one unit of time. Actions are written as
    PDDL planners print them, in lower case (PDDL knows no other). An action that only ends plans is left out.
    """
    acting = [step for step in plan.steps if not _ends(step, vocabulary)]
    return [
        {"time": float(number), "action": f"({' '.join((step.action, *step.arguments)).lower()})", "duration": 1.0}
        for number, step in enumerate(acting)
    ]


def intent_fields(step: Step, confidence: float, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """A well-formed step as the fields of a hri_actions_msgs/Intent that the robot itself has.

    Where the vocabulary says that an action does nothing but go somewhere, pick up or put, it is the intent that the
    package has for that; else the intent is the action's name. `data` is JSON: the thematic roles that the effects
    tell (goal, object, recipient), and in `other_data` the arguments that have none, by their names.

    Args:
        step: The step.
        confidence: 0 to 1.
        vocabulary: Says what the action does.

    Returns:
        The fields; None where the step only ends a plan.

    Raises:
        ValueError: The step is no step of the vocabulary.
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
    """Goal, object and recipient as the effects tell them; of several effects the first counts."""
    roles: dict[str, str] = {}
    for effect in action.effects:
        # Of a change of state the first name is what changes.
        _, names = _ROLES.get(effect.kind, ("", ("object",)))
        for role, name in zip(names, effect.names, strict=False):
            # A name may be a class instead of an argument.
            roles.setdefault(role, given.get(name, name))
    return roles
