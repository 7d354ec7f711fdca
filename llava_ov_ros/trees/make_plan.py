"""A plan for the blackboard, as a behaviour."""

from __future__ import annotations

from typing import Any

from llava_ov_ros.msg import Plan

from ..clients import Pending, PlanClient
from .awaiting import Awaiting


class MakePlan(Awaiting[Plan]):
    """Asks for a plan; SUCCESS if the plan is accepted. It is checked, and never executed.

    Example:
        import rclpy
        from llava_ov_ros.clients import PlanClient
        from llava_ov_ros.trees import MakePlan
        from py_trees.common import Status

        rclpy.init()
        node = rclpy.create_node("tree")
        plan = MakePlan("plan", PlanClient(node), "put the mug on the desk", key="plan")
        while plan.status in (Status.INVALID, Status.RUNNING):
            plan.tick_once()
            rclpy.spin_once(node, timeout_sec=0.1)
        print(plan.status.name, plan.feedback_message)
    """

    def __init__(self, name: str, client: PlanClient, goal: str, *, key: str = "plan", **fields: Any) -> None:
        """Prepare the request.

        Args:
            name: Name in the tree.
            client: Client of the node; whoever ticks the tree has its node spun.
            goal: What shall be so.
            key: Key of the blackboard that gets the accepted msg/Plan.
            fields: Other fields of action/Plan, such as `cameras`, `deadline_s`.
        """
        super().__init__(name, key)
        self._client, self._goal, self._fields = client, goal, fields

    def request(self) -> Pending[Plan]:
        """Ask by the action, which can be cancelled."""
        return self._client.stream(self._goal, **self._fields)

    def judge(self, reply: Plan) -> tuple[bool, str]:
        """Only an accepted plan counts; of another one the feedback_message says why it is not."""
        if reply.outcome == Plan.ACCEPTED:
            return True, "; ".join(" ".join((step.action, *step.arguments)) for step in reply.steps)
        findings = [step.message for step in reply.steps if step.message]
        said = "; ".join((*findings, *reply.problems, *reply.unread)) or reply.message
        return False, said or ("the model cannot tell how" if reply.outcome == Plan.CANNOT_TELL else "there is no plan")
