"""A client of `~/plan`: plans in the robot's own vocabulary, checked by the node and never executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.msg import Plan, PlanStep
from llava_ov_ros.srv import Plan as PlanService

from .ask_client import GRACE_S
from .deadlines import Deadlines
from .pending import Limits, Pending
from .sending import ActionCall, ServiceCall, SharedActionClient, message_of, service_client


class PlanClient:
    """Asks for plans.

    Example:
        import rclpy
        from llava_ov_ros.clients import PlanClient
        from llava_ov_ros.msg import Plan

        rclpy.init()
        client = PlanClient(rclpy.create_node("planner"))
        plan = client.plan("put the mug on the desk").wait()
        for step in plan.steps:
            print(step.number, step.action, *step.arguments, step.message)
        print("accepted" if plan.outcome == Plan.ACCEPTED else list(plan.problems) or plan.message)
    """

    def __init__(
        self, node: Node, name: str = "llava_ov", *, wait_s: float = 10.0, group: CallbackGroup | None = None
    ) -> None:
        """Join the node's service and action; nothing is sent or spun here.

        Args:
            node: Node of the program; whoever owns it spins it.
            name: Name of the node to ask. A name without a slash at its begin is in the namespace of `node`.
            wait_s: Seconds that a request waits for the node to appear.
            group: Callback group of everything here; None: the default group of `node`.
        """
        self._node, self._wait_s = node, wait_s
        self._deadlines = Deadlines(node, group)
        self._name = node.resolve_service_name(f"{name}/plan")
        self._service = service_client(node, PlanService, self._name, group)
        self._action = SharedActionClient(node, PlanAction, self._name, group)

    def plan(self, goal: str, *, deadline_s: float = 60.0, **fields: Any) -> Pending[Plan]:
        """Ask for a plan by the service.

        Args:
            goal: What shall be so, such as `put the mug on the desk`.
            deadline_s: Seconds from the arrival at the node for all of it, corrections included.
            fields: Other fields of srv/Plan, such as `decoding`, `cameras` and `window_s`.

        Returns:
            The msg/Plan to come. Look at `outcome`: a rejected plan is no error here.

        Raises:
            TypeError: srv/Plan has no such field.
            ValueError: deadline_s is not above 0.
        """
        limits = Limits(self._wait_s, deadline_s + GRACE_S if deadline_s > 0 else deadline_s)
        request = message_of(PlanService.Request, "srv/Plan", goal=goal, deadline_s=float(deadline_s), **fields)
        call = ServiceCall[Plan](self._service, self._name, request, lambda response: response.plan)
        return Pending(self._deadlines, call, limits)

    def stream(
        self,
        goal: str,
        on_step: Callable[[int, PlanStep], object] | None = None,
        *,
        deadline_s: float = 60.0,
        **fields: Any,
    ) -> Pending[Plan]:
        """Ask for a plan by the action: its steps are seen coming, and it can be cancelled.

        Args:
            goal: What shall be so.
            on_step: Called in a callback of the node with the number of the attempt (0, and 1, 2, ... while the plan is
                corrected) and the step. Only the plan that comes in the end counts.
            deadline_s: Seconds from the arrival at the node for all of it.
            fields: Other fields of action/Plan, as in `plan`.

        Returns:
            The msg/Plan to come; after `cancel` its status is CANCELLED.

        Raises:
            TypeError: action/Plan has no such field.
            ValueError: deadline_s is not above 0.
        """

        def hear(feedback: PlanAction.Feedback) -> None:
            if on_step is not None:
                on_step(feedback.attempt, feedback.step)

        limits = Limits(self._wait_s, deadline_s + GRACE_S if deadline_s > 0 else deadline_s)
        asked = message_of(PlanAction.Goal, "action/Plan", goal=goal, deadline_s=float(deadline_s), **fields)
        call = ActionCall[Plan](self._action, self._name, asked, lambda result: result.plan, hear)
        return Pending(self._deadlines, call, limits)

    def destroy(self) -> None:
        """Leave the service and the action, once nothing is pending."""
        self._node.destroy_client(self._service)
        self._action.destroy()
        self._deadlines.destroy()
