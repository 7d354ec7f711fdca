"""Publishes plans and hints as messages of other packages, if these packages are installed."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.lifecycle import LifecycleNode

from llava_ov_ros.msg import ActionHint

from ..planning import Plan, Step, Vocabulary
from ..planning.exchange import intent_fields, plansys2_items

DEPTH = 10


def message_types(package: str, *names: str) -> tuple[Any, ...] | None:
    """Return message classes of a package, or None if the package is not installed.

    Args:
        package: Name of the package, such as `plansys2_msgs`.
        names: Names of the messages, such as `Plan`.

    Raises:
        ImportError: The package is installed, but cannot be imported or lacks one of the messages.
    """
    try:
        module = importlib.import_module(f"{package}.msg")
    except ModuleNotFoundError as error:
        if error.name in (package, f"{package}.msg"):
            return None
        raise
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise ImportError(f"{package}.msg has no {', '.join(missing)}")
    return tuple(getattr(module, name) for name in names)


class OtherMessages:
    """Publishes accepted plans on `~/plansys2_plan`, and hinted steps that can be done on `~/intents`."""

    def __init__(self, node: LifecycleNode) -> None:
        self._plans: Any = None
        self._intents: Any = None
        self._turn: object = None
        self._steps: set[Step] = set()
        try:
            plansys2 = message_types("plansys2_msgs", "Plan", "PlanItem")
            if plansys2 is not None:
                self._plan, self._item = plansys2
                self._plans = node.create_publisher(self._plan, "~/plansys2_plan", DEPTH)
            intents = message_types("hri_actions_msgs", "Intent")
            if intents is not None:
                (self._intent,) = intents
                self._intents = node.create_publisher(self._intent, "~/intents", DEPTH)
        except ImportError as error:
            # The other functions of the node need neither package.
            node.get_logger().warning(f"not published for other packages: {error}")

    def plan(self, plan: Plan, vocabulary: Vocabulary) -> None:
        """Publish an accepted plan, if plansys2_msgs is installed."""
        if self._plans is not None:
            items = [self._item(**fields) for fields in plansys2_items(plan, vocabulary)]
            self._plans.publish(self._plan(items=items))

    def hint(self, hint: ActionHint, turn: object, vocabulary: Vocabulary) -> None:
        """Publish a hint as an intent, but not the same step again in one turn: a robot acts on every intent.

        Args:
            hint: The hint; only a hinted step without violations becomes an intent.
            turn: The turn of the hint; every goal that is set and every step reported make a new object.
            vocabulary: The vocabulary of the hinted step.
        """
        if self._intents is None or hint.hint != ActionHint.STEP or hint.violations:
            return
        step = Step(hint.action, tuple(hint.arguments))
        if self._turn is not turn:
            self._turn, self._steps = turn, set()
        if step in self._steps:
            return
        fields = intent_fields(step, hint.confidence, vocabulary)
        if fields is not None:
            self._steps.add(step)
            self._intents.publish(self._intent(**fields))
