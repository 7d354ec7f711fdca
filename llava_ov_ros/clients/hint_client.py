"""A client of the hints: sets a goal, hears what to do next, and reports what became of each step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from llava_ov_ros.msg import ActionHint, Answer, PlanStep
from llava_ov_ros.srv import ClearGoal, NextStep, ReportStep, SetGoal

from ..bounds import quoted
from .client_errors import DeclinedError
from .deadlines import Deadlines
from .pending import Limits, Pending
from .sending import ServiceCall, message_of, service_client

CALL_S = 10.0
"""These services answer at once, whatever the model does."""
STATUSES = {getattr(Answer, name): name for name in dir(type(Answer)) if name[0].isupper()}
KEPT_HINTS = 10


class HintClient:
    """Follows hints from a goal to DONE.

    Goals, reports and clearing are sent one after the other, so that they arrive in the order of the calls.

    Example:
        import rclpy
        from llava_ov_ros.clients import HintClient
        from llava_ov_ros.msg import ActionHint

        rclpy.init()
        hints = HintClient(rclpy.create_node("follower"))
        turn = hints.set_goal("put the mug on the desk").wait().turn
        hint = hints.next_hint(turn).wait()
        print(hint.action, *hint.arguments)
        # Here a robot carries the step out; a turn that has passed would be declined.
        turn = hints.report_done(hint).wait().turn
        print(list(hints.next_hint(turn).wait().done))
        print(hints.clear().wait().message)
    """

    def __init__(
        self,
        node: Node,
        name: str = "llava_ov",
        *,
        on_hint: Callable[[ActionHint], object] | None = None,
        wait_s: float = 10.0,
        group: CallbackGroup | None = None,
    ) -> None:
        """Join the node's services and its topic of hints; nothing is sent or spun here.

        Args:
            node: Node of the program; whoever owns it spins it.
            name: Name of the node to follow. A name without a slash at its begin is in the namespace of `node`.
            on_hint: Called in a callback of `node` with every hint, whoever has set the goal.
            wait_s: Seconds that a request waits for the node to appear.
            group: Callback group of everything here; None: the default group of `node`.
        """
        self._node, self._wait_s, self._on_hint = node, wait_s, on_hint
        self._deadlines = Deadlines(node, group)
        self._base = node.resolve_service_name(name)
        kinds = {"set_goal": SetGoal, "step_done": ReportStep, "clear_goal": ClearGoal, "next_step": NextStep}
        self._services = {
            service: service_client(node, kind, f"{self._base}/{service}", group) for service, kind in kinds.items()
        }
        self._board = _Board(f"{self._base}/action_hint")
        # The last hint also comes if the node knows this subscription only later.
        qos = QoSProfile(depth=KEPT_HINTS, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscription = node.create_subscription(
            ActionHint, f"{self._base}/action_hint", self._hear, qos, callback_group=group
        )
        self._last: Pending[Any] | None = None

    @property
    def latest(self) -> ActionHint | None:
        """The newest hint, whoever has set the goal; None: there was none yet."""
        return self._board.latest

    def set_goal(
        self, goal: str, done: Sequence[str] = (), *, done_steps: Sequence[PlanStep] = (), plan_id: str = ""
    ) -> Pending[SetGoal.Response]:
        """Set the goal; it takes the place of the goal of whoever set one before.

        Args:
            goal: What shall be so, such as `put the mug on the desk`.
            done: Steps that are done already, such as `PickupObject mug`.
            done_steps: Further ones, as a plan has them.
            plan_id: Name of the plan that is followed; hints repeat it.

        Returns:
            The response to come, whose `turn` is that of the first hint; DeclinedError if the node takes no such goal.
        """
        request = SetGoal.Request(goal=goal, done=list(done), done_steps=list(done_steps), plan_id=plan_id)
        return self._tell("set_goal", request)

    def next_hint(self, turn: int, *, deadline_s: float = 60.0) -> Pending[ActionHint]:
        """Wait for the next hint of a turn that this method has not given yet.

        Args:
            turn: Turn of the goal or of the last report, from the response to it.
            deadline_s: Seconds to wait. Meanwhile hints without an answer (NONE: a picture is stale, say) are passed
                over; the error then names the last one's status.

        Returns:
            The hint to come: STEP, DONE, UNSURE or CANNOT_TELL. DeclinedError if the turn is over, because somebody
            else has set a goal or reported a step.
        """
        return Pending(self._deadlines, _HintCall(self._board, turn), Limits(self._wait_s, deadline_s))

    def report_done(self, step: ActionHint | PlanStep | str, turn: int = 0) -> Pending[ReportStep.Response]:
        """Report that a step was carried out.

        Args:
            step: The hint that named it, a step of a plan, or a text such as `PutObject mug desk`.
            turn: Declined if hints are at another turn; 0: that of the hint, or any if the step is no hint.

        Returns:
            The response to come, with the next hint's `turn` and what the report has refuted (`unexpected`).
            DeclinedError if there is no goal, the turn has passed, or the step is none of the vocabulary.
        """
        return self._report(step, ReportStep.Request.DONE, turn)

    def report_failed(self, step: ActionHint | PlanStep | str, turn: int = 0) -> Pending[ReportStep.Response]:
        """Report that a step was tried in vain: no hint names it again until another one is done; see `report_done`."""
        return self._report(step, ReportStep.Request.FAILED, turn)

    def report_undone(self, step: ActionHint | PlanStep | str, turn: int = 0) -> Pending[ReportStep.Response]:
        """Report that a step's effects hold no longer; see `report_done`."""
        return self._report(step, ReportStep.Request.UNDONE, turn)

    def next_step(self, goal: str = "", done: Sequence[str] = (), *, deadline_s: float = 60.0) -> Pending[ActionHint]:
        """Ask once what to do next; nothing is set by that.

        Args:
            goal: What shall be so; empty: the goal that is set, with all that was reported.
            done: With a goal, the steps that are done already.
            deadline_s: Seconds to wait.
        """
        request = message_of(NextStep.Request, "srv/NextStep", goal=goal, done=list(done))
        call = self._call("next_step", request, lambda response: response.hint)
        return Pending(self._deadlines, call, Limits(self._wait_s, deadline_s), self._last)

    def clear(self) -> Pending[ClearGoal.Response]:
        """Have no goal any more, whoever has set it."""
        return self._tell("clear_goal", ClearGoal.Request())

    def destroy(self) -> None:
        """Leave services and topic, once nothing is pending. A goal that is set stays."""
        for client in self._services.values():
            self._node.destroy_client(client)
        self._node.destroy_subscription(self._subscription)
        self._deadlines.destroy()

    def _report(self, step: ActionHint | PlanStep | str, outcome: int, turn: int) -> Pending[ReportStep.Response]:
        request = ReportStep.Request(outcome=outcome, turn=turn)
        if isinstance(step, str):
            request.step = step
        else:
            request.action, request.arguments = step.action, list(step.arguments)
            if isinstance(step, ActionHint) and turn == 0:
                request.turn = step.turn
        return self._tell("step_done", request)

    def _tell(self, service: str, request: Any) -> Pending[Any]:
        def read(response: Any) -> Any:
            if not response.success:
                raise DeclinedError(f"{self._base}/{service}: {response.message}")
            return response

        limits = Limits(self._wait_s, CALL_S)
        self._last = Pending(self._deadlines, self._call(service, request, read), limits, self._last)
        return self._last

    def _call(self, service: str, request: Any, read: Callable[[Any], Any]) -> ServiceCall[Any]:
        return ServiceCall(self._services[service], f"{self._base}/{service}", request, read)

    def _hear(self, hint: ActionHint) -> None:
        self._board.put(hint)
        if self._on_hint is not None:
            self._on_hint(hint)


class _Board:
    """The newest hint, and who waits for hints."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.latest: ActionHint | None = None
        self._is_read = True
        self._waiting: list[_HintCall] = []
        self._lock = threading.RLock()

    def put(self, hint: ActionHint) -> None:
        """Take note of a hint and give it to whoever waits for it."""
        with self._lock:
            self.latest, self._is_read = hint, False
            given = [call for call in self._waiting if self._is_for(call)]
            self._waiting = [call for call in self._waiting if call not in given]
            self._is_read = bool(given)
        # Without the lock, because whoever waits holds one of its own.
        for call in given:
            call.arrived(hint)

    def add(self, call: _HintCall) -> None:
        """Wait for a hint, which may be there."""
        with self._lock:
            hint, is_there = self.latest, not self._is_read and self._is_for(call)
            if is_there:
                self._is_read = True
            else:
                self._waiting.append(call)
        if is_there:
            call.arrived(hint)

    def remove(self, call: _HintCall) -> None:
        """Wait for a hint no longer."""
        with self._lock:
            self._waiting = [one for one in self._waiting if one is not call]

    def _is_for(self, call: _HintCall) -> bool:
        hint = self.latest
        if hint is None or hint.turn < call.turn:
            return False
        return bool(hint.turn > call.turn or hint.hint != ActionHint.NONE)


class _HintCall:
    """A hint that is waited for, as `Pending` waits."""

    def __init__(self, board: _Board, turn: int) -> None:
        self.name, self.turn = board.name, turn
        self.arrived: Callable[[Any], None] = lambda hint: None
        self._board = board

    def is_ready(self) -> bool:
        """Nothing is sent, so nobody need be there."""
        return True

    def send(self, arrived: Callable[[Any], None]) -> None:
        """Begin to wait."""
        self.arrived = arrived
        self._board.add(self)

    def read(self, response: ActionHint) -> ActionHint:
        """The hint, if it is of the turn."""
        if response.turn != self.turn:
            raise DeclinedError(
                f"turn {self.turn} is over: {self.name} is at turn {response.turn} about the goal "
                f"{quoted(response.goal)}, because a goal was set or a step reported"
            )
        return response

    def cancel(self) -> bool:
        """Nothing comes."""
        return False

    def forget(self) -> None:
        """Wait no longer."""
        self._board.remove(self)

    def remark(self) -> str:
        """What the last hint said that had no answer."""
        hint = self._board.latest
        if hint is None or hint.turn != self.turn:
            return ": is the node active, and has nobody else cleared its goal?"
        return f": the last hint is {STATUSES.get(hint.status, hint.status)}: {hint.message}"
