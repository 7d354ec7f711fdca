"""Follows a node's hints to a goal: prints each hinted step, reports the step done, and ends at the hint DONE.

A robot would carry each step out where this example prints the step.

For example: python examples/follow_hints.py "put the mug on the desk"
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import rclpy
from llava_ov_ros.msg import ActionHint
from llava_ov_ros.srv import ReportStep, SetGoal
from rclpy.node import Node


class Follower(Node):
    """Sets a goal and follows the hints to the goal, step by step.

    Attributes:
        is_done: Whether the node has hinted that the goal is reached.
    """

    def __init__(self, node: str) -> None:
        super().__init__("follow_hints_example")
        self.is_done = False
        self._done: list[str] = []
        self._set_goal = self.create_client(SetGoal, f"{node}/set_goal")
        self._step_done = self.create_client(ReportStep, f"{node}/step_done")
        self.create_subscription(ActionHint, f"{node}/action_hint", self._follow, 10)

    def set_goal(self, goal: str) -> str:
        """Set the goal; return why the node refuses the goal, or an empty text."""
        self._set_goal.wait_for_service()
        response = self._call(self._set_goal, SetGoal.Request(goal=goal))
        return "" if response.success else response.message

    def _call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self, future)
        return future.result()

    def _follow(self, hint: ActionHint) -> None:
        # A hint from before the last report names a step that is already done.
        if list(hint.done) != self._done or self.is_done:
            return
        if hint.hint == ActionHint.DONE:
            self.is_done = True
        elif hint.hint == ActionHint.STEP and not hint.violations:
            step = " ".join((hint.action, *hint.arguments))
            print(f"{step}  (confidence {hint.confidence:.2f})", flush=True)
            # Here a robot would carry out the step, and report the step done once it has succeeded.
            self._done.append(step)
            self._step_done.call_async(ReportStep.Request(step=step))


def main() -> int:
    """Follow the hints until the goal is reached; return 0 when it is reached, 1 if the node refuses the goal."""
    parser = argparse.ArgumentParser(description="Follow the hints of a running llava_ov node to a goal.")
    parser.add_argument("goal")
    parser.add_argument("--node", default="/llava_ov", help="fully qualified name of the node")
    options = parser.parse_args()

    rclpy.init()
    follower = Follower(options.node)
    try:
        refusal = follower.set_goal(options.goal)
        if refusal:
            print(refusal)
            return 1
        while not follower.is_done:
            rclpy.spin_once(follower)
        print("done")
        return 0
    finally:
        follower.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
