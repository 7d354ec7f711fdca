"""Configures and activates a managed node once, for the launch files and `--autostart`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

TURN_S = 0.1
PAUSE_S = 0.3
GET_STATE_S = 1.0
UNHEARD_AFTER = 4
"""How often the state is read unchanged before a request for a transition counts as lost and is repeated."""


class _OverError(Exception):
    """The node has ended or the launch is shutting down, so the node need not become active."""


def bring_up(name: str, is_over: Callable[[], bool]) -> str:
    """Configure a node and activate it; wait for the node as long as that takes.

    A request that the node has not received is repeated: a killed node stays in the graph for a while, and a request
    that reaches only the killed node's server is never answered.

    Args:
        name: Fully qualified name of the node.
        is_over: Returns whether to give up, because the node has ended or the launch is shutting down; called
            repeatedly.

    Returns:
        Why the node is not active, as a text for the user; empty if the node is active or `is_over` ended the waiting.
    """
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        # Several launch files on one machine, or several nodes of one launch file, may be brought up at once.
        own = f"llava_ov_bring_up_{os.getpid()}_{time.monotonic_ns()}"
        node = rclpy.create_node(own, context=context, use_global_arguments=False, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            return _Steps(node, executor, name, is_over).take()
        except _OverError:
            return ""
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


class _Steps:
    def __init__(self, node: Any, executor: Any, name: str, is_over: Callable[[], bool]) -> None:
        self._executor = executor
        self._name = name
        self._is_over = is_over
        self._get_state = node.create_client(GetState, f"{name}/get_state")
        self._change_state = node.create_client(ChangeState, f"{name}/change_state")

    def take(self) -> str:
        state = self._state()
        if state != "unconfigured":
            return f"{self._name} is {state} already, so somebody else manages it: not activated (autostart:=false)"
        for transition, begin, during, end in (
            (Transition.TRANSITION_CONFIGURE, "unconfigured", "configuring", "inactive"),
            (Transition.TRANSITION_ACTIVATE, "inactive", "activating", "active"),
        ):
            reached = self._change(transition, begin, during, end)
            if reached != end:
                label = {"inactive": "configured", "active": "activated"}[end]
                return f"{self._name} could not be {label} and is {reached}: its log says why"
        return ""

    def _change(self, transition: int, begin: str, during: str, end: str) -> str:
        """Request a transition, and return the label of the state in which the transition ended."""
        asked: list[Any] = []
        unheard = UNHEARD_AFTER
        while True:
            # Refusals are read before the state, so that a refusal is older than the state it is compared with.
            refused = any(future.done() and not future.result().success for future in asked)
            state = self._state()
            if state not in (begin, during) or (state == begin and refused):
                return state
            unheard = unheard + 1 if state == begin else 0
            if state == begin and unheard > UNHEARD_AFTER and self._change_state.service_is_ready():
                asked.append(self._change_state.call_async(ChangeState.Request(transition=Transition(id=transition))))
                unheard = 0
            self._spin(PAUSE_S, lambda: asked and asked[-1].done())

    def _state(self) -> str:
        """Return the label of the node's state, however long the node takes to answer."""
        while True:
            if self._get_state.service_is_ready():
                future = self._get_state.call_async(GetState.Request())
                self._spin(GET_STATE_S, future.done)
                if future.done():
                    label: str = future.result().current_state.label
                    return label
                self._get_state.remove_pending_request(future)
            self._spin(PAUSE_S, lambda: False)

    def _spin(self, duration_s: float, done: Callable[[], Any]) -> None:
        until_s = time.monotonic() + duration_s
        while not done() and time.monotonic() < until_s:
            if self._is_over():
                raise _OverError
            self._executor.spin_once(timeout_sec=TURN_S)
