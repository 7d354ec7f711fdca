"""Requests of browsers to the node: goals of its actions, which can be cancelled, and calls of its services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.action import ActionClient
from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from llava_ov_ros.action import Ask as AskAction
from llava_ov_ros.action import Plan as PlanAction
from llava_ov_ros.srv import ClearGoal, ReportStep, SetGoal

from ..node.depths import FEEDBACK_DEPTH, requests_qos
from .message_json import answer_json, as_json, plan_json, step_json

MOST_OPEN = 32
"""Most questions and plans of browsers that the node has at a time."""
CALL_S = 10.0
"""Longest wait for the response of a service."""
GONE = "the node has ended or does not answer; ask again when it is back"


class NodeGoneError(RuntimeError):
    """The node is not there, or does not respond in time."""


class TooManyOpenError(RuntimeError):
    """`MOST_OPEN` questions and plans wait already."""


class OpenGoal:
    """A goal of an action that has not ended.

    Attributes:
        handle: The goal's handle, once the node has taken the goal.
        is_cancelled: Whether a browser has asked for the goal's end.
        lives: The lives of the node that were in the graph when the goal was sent (`NodeRequests.follow`).
    """

    def __init__(self, lives: frozenset[bytes]) -> None:
        self.lives = lives
        self.handle: Any = None
        self.is_cancelled = False


class NodeRequests:
    """Clients of the node's actions and of the services of its goal.

    Goals are sent and cancelled in the executor's thread: rclpy's action client sends first and takes note afterwards,
    so that a response that another thread takes in between would be nobody's.

    Attributes:
        is_gone: Whether the node is taken for gone. One that was killed stays in the graph for a while.
    """

    def __init__(self, node: Node, executor: Executor, name: str, put: Callable[[str, Any], None]) -> None:
        """Create the clients.

        Args:
            node: The node of this process.
            executor: The executor that spins it.
            name: Fully qualified name of the node that is asked.
            put: Gets kinds and contents of what comes back, in the executor's thread.
        """
        self.is_gone = True
        self._executor = executor
        self._put = put
        self._open: dict[str, OpenGoal] = {}
        self._lives: frozenset[bytes] = frozenset()
        qos: dict[str, Any] = {f"{one}_service_qos_profile": requests_qos() for one in ("goal", "result", "cancel")}
        qos["feedback_sub_qos_profile"] = QoSProfile(depth=FEEDBACK_DEPTH)
        self._asks = ActionClient(node, AskAction, f"{name}/ask", **qos)
        self._plans = ActionClient(node, PlanAction, f"{name}/plan", **qos)
        self._services = {
            kind: node.create_client(kind, f"{name}/{service}", qos_profile=requests_qos())
            for kind, service in ((SetGoal, "set_goal"), (ClearGoal, "clear_goal"), (ReportStep, "step_done"))
        }

    def is_ready(self) -> bool:
        """Whether the node's actions and services are there."""
        actions = self._asks.server_is_ready() and self._plans.server_is_ready()
        return actions and all(client.service_is_ready() for client in self._services.values())

    def ask(self, goal: AskAction.Goal) -> None:
        """Send a question, which has a request id; the answer comes on the node's topics, too.

        Raises:
            NodeGoneError: The node is not there.
            TooManyOpenError: Too many questions and plans wait already.
        """
        asked = {name: as_json(getattr(goal, name)) for name in ("request_id", "question", "kind")}
        self._begin(self._asks, goal, "asked", asked)

    def plan(self, goal: PlanAction.Goal) -> None:
        """Send a request for a plan, which has a request id; raises what `ask` raises."""
        self._begin(self._plans, goal, "plan_asked", {"request_id": goal.request_id, "goal": as_json(goal.goal)})

    def _begin(self, client: ActionClient, goal: Any, kind: str, asked: dict[str, Any]) -> None:
        if self.is_gone or not client.server_is_ready():
            raise NodeGoneError(GONE)
        if len(self._open) >= MOST_OPEN:
            raise TooManyOpenError(f"{MOST_OPEN} questions and plans wait already: ask again a little later")
        self._open[goal.request_id] = OpenGoal(self._lives)
        self._put(kind, asked)
        self._executor.create_task(self._send, client, goal)

    def _send(self, client: ActionClient, goal: Any) -> None:
        name = goal.request_id
        on_feedback = partial(self._take_feedback, name) if isinstance(goal, PlanAction.Goal) else None
        sent = client.send_goal_async(goal, feedback_callback=on_feedback)
        sent.add_done_callback(partial(self._take_handle, name))

    def _take_handle(self, name: str, future: Any) -> None:
        one, handle = self._open.get(name), future.result()
        if not handle.accepted:
            self.lose(name)
            return
        if one is None:
            return
        one.handle = handle
        handle.get_result_async().add_done_callback(partial(self._take_result, name))
        if one.is_cancelled:
            handle.cancel_goal_async()

    def _take_feedback(self, name: str, message: Any) -> None:
        feedback = message.feedback
        step = {"request_id": name, "attempt": feedback.attempt, "step": step_json(feedback.step)}
        self._put("plan_step", step)

    def _take_result(self, name: str, future: Any) -> None:
        self._open.pop(name, None)
        result = future.result().result
        if isinstance(result, AskAction.Result):
            self._put("answer", answer_json(result.answer))
        else:
            self._put("plan", plan_json(result.plan))

    def cancel(self, name: str) -> bool:
        """Ask for the end of a question or plan of a browser; return whether there is such a one."""
        if name not in self._open:
            return False
        self._executor.create_task(self._cancel, name)
        return True

    def _cancel(self, name: str) -> None:
        one = self._open.get(name)
        if one is not None:
            one.is_cancelled = True
            if one.handle is not None:
                one.handle.cancel_goal_async()

    def lose(self, *names: str) -> None:
        """Give questions and plans up that will get no answer."""
        for name in names:
            if self._open.pop(name, None) is not None:
                self._put("ask_lost", {"request_id": name, "message": GONE})

    def lose_all(self) -> None:
        """Give everything up that was asked of a node that does not answer any more."""
        self.lose(*list(self._open))

    def follow(self, lives: frozenset[bytes]) -> None:
        """Give up what was asked of a node that has ended, also if another has taken its place already.

        Args:
            lives: An identifier for each node of the name in the graph. One that was killed stays for a while.
        """
        self._lives = lives
        self.lose(*[name for name, one in list(self._open.items()) if one.lives and not one.lives & lives])

    async def call(self, request: Any) -> Any:
        """Call the service of a request and wait for the response; to be called in an event loop.

        Raises:
            NodeGoneError: The node is not there, or does not respond within `CALL_S` seconds.
        """
        client = next(one for kind, one in self._services.items() if isinstance(request, kind.Request))
        if self.is_gone or not client.service_is_ready():
            raise NodeGoneError(GONE)
        loop = asyncio.get_running_loop()
        responded: asyncio.Future[Any] = loop.create_future()

        def give(future: Any) -> None:
            def set_result() -> None:
                if not responded.done():
                    responded.set_result(future.result())

            loop.call_soon_threadsafe(set_result)

        called = client.call_async(request)
        called.add_done_callback(give)
        try:
            return await asyncio.wait_for(responded, CALL_S)
        except TimeoutError:
            raise NodeGoneError(f"{client.srv_name} did not respond within {CALL_S:g} s: try again") from None
        finally:
            client.remove_pending_request(called)

    def close(self) -> None:
        """Destroy the clients that rclpy does not destroy with their node."""
        self._asks.destroy()
        self._plans.destroy()
