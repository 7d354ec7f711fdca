"""Hints as a behaviour: each hinted step is carried out and reported, until the node says DONE."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from py_trees.behaviour import Behaviour
from py_trees.common import Status

from llava_ov_ros.msg import ActionHint

from ..clients import ClientError, HintClient, NoReplyError, Pending
from .awaiting import give_up, unheeded

MOST_FAILURES = 3


class FollowHints(Behaviour):
    """Sets a goal and has each hinted step carried out; SUCCESS at the hint DONE.

    It is the parent of the behaviour of the step at hand, if there is one. When it ends, for whatever reason, nothing
    that it began goes on: the step at hand is interrupted, and the node has no goal any more.

    Example:
        import rclpy
        from llava_ov_ros.clients import HintClient
        from llava_ov_ros.trees import FollowHints
        from py_trees.common import Status


        def carry_out(hint):
            print(hint.action, *hint.arguments, flush=True)
            return input() == "yes"


        rclpy.init()
        node = rclpy.create_node("tree")
        follow = FollowHints("follow", HintClient(node), "put the mug on the desk", carry_out)
        while follow.status in (Status.INVALID, Status.RUNNING):
            follow.tick_once()
            rclpy.spin_once(node, timeout_sec=0.1)
        print(follow.status.name, follow.feedback_message)
    """

    def __init__(
        self,
        name: str,
        client: HintClient,
        goal: str,
        carry_out: Callable[[ActionHint], Behaviour | bool],
        *,
        done: Sequence[str] = (),
        plan_id: str = "",
        patience_s: float = 60.0,
    ) -> None:
        """Prepare the goal.

        Args:
            name: Name in the tree.
            client: Client of the node; whoever ticks the tree has its node spun.
            goal: What shall be so.
            carry_out: Called with the hint of a step that can be done. It returns the behaviour that carries the step
                out, which is ticked until it ends; or at once whether the step is done.
            done: Steps that are done already, such as `PickupObject mug`.
            plan_id: Name of the plan that is followed; hints repeat it.
            patience_s: Seconds from the goal, or from a report, to a hint that says what to do; meanwhile hints are
                passed over that are unsure, or name a step that cannot be done.
        """
        super().__init__(name=name)
        self._client, self._goal, self._carry_out = client, goal, carry_out
        self._done, self._plan_id, self._patience_s = tuple(done), plan_id, patience_s
        self._told: Pending[Any] | None = None
        self._awaited: Pending[ActionHint] | None = None
        self._hint = ActionHint()
        self._step: Behaviour | None = None
        self._failures = 0
        self._until_s = 0.0
        self._doubt = ""
        self._is_set = False

    def initialise(self) -> None:
        """Set the goal."""
        self._failures, self._is_set, self._hint = 0, True, ActionHint()
        self._told = self._client.set_goal(self._goal, self._done, plan_id=self._plan_id)

    def update(self) -> Status:
        """Tick the step at hand, or look whether the node has replied."""
        if self._step is not None:
            self._step.tick_once()
            return Status.RUNNING if self._step.status is Status.RUNNING else self._ended(self._step.status)
        try:
            if self._told is not None and self._told.done():
                turn, self._told = self._told.result().turn, None
                self._until_s, self._doubt = time.monotonic() + self._patience_s, ""
                self._awaited = self._client.next_hint(turn, deadline_s=self._patience_s)
            if self._awaited is not None and self._awaited.done():
                hint, self._awaited = self._awaited.result(), None
                return self._heard(hint)
        except ClientError as error:
            doubtful = self._doubt and isinstance(error, NoReplyError)
            self.feedback_message = (
                f"no step to do within {self._patience_s:g} s: {self._doubt}" if doubtful else str(error)
            )
            return Status.FAILURE
        return Status.RUNNING

    def _heard(self, hint: ActionHint) -> Status:
        self._hint = hint
        self.feedback_message = said = " ".join((hint.action, *hint.arguments))
        if hint.hint == ActionHint.DONE:
            self.feedback_message = "done"
            return Status.SUCCESS
        if hint.hint == ActionHint.STEP and not hint.violations:
            begun = self._carry_out(hint)
            if isinstance(begun, bool):
                return self._ended(Status.SUCCESS if begun else Status.FAILURE)
            begun.parent, self.children, self._step = self, [begun], begun
            return Status.RUNNING
        why = "; ".join(hint.violations) or ("cannot tell" if hint.hint == ActionHint.CANNOT_TELL else "unsure")
        self.feedback_message = self._doubt = f"{why}: {said}" if said else why
        left_s = max(0.001, self._until_s - time.monotonic())
        self._awaited = self._client.next_hint(hint.turn, deadline_s=left_s)
        return Status.RUNNING

    def _ended(self, status: Status) -> Status:
        """Report the step at hand, which has ended."""
        self._step, self.children = None, []
        succeeded = status is Status.SUCCESS
        self._failures = 0 if succeeded else self._failures + 1
        if self._failures >= MOST_FAILURES:
            self.feedback_message = (
                f"{self._failures} steps failed one after the other, at last {self.feedback_message}"
            )
            return Status.FAILURE
        self._told = (self._client.report_done if succeeded else self._client.report_failed)(self._hint)
        return Status.RUNNING

    def terminate(self, new_status: Status) -> None:
        """Interrupt the step at hand, wait for nothing any more, and clear the goal."""
        step, self._step, self.children = self._step, None, []
        if step is not None:
            step.stop(Status.INVALID)
        if self._awaited is not None:
            give_up(self._awaited)
        if self._told is not None:
            # Not cancelled: the goal is cleared once it has arrived.
            unheeded(self._told)
        self._told = self._awaited = None
        if self._is_set:
            self._is_set = False
            unheeded(self._client.clear())
