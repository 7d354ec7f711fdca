"""The objects that the node's servers share; opens a service and an action of the same name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.action import ActionServer
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from .configured import Configuration
from .depths import action_server_qos, requests_qos
from .dispatch import Goals, Submitting
from .publishing import Publishing

GOAL_RESULT_KEPT_S = 60


@dataclass(frozen=True)
class ServerContext:
    """The objects that the servers of questions, plans and hints share.

    Attributes:
        node: The node, which owns the servers' services, actions, subscriptions and timers.
        configuration: The parameters, prompts, vocabulary and worker that requests are served with.
        publishing: The topics of answers, plans and hints.
        submitting: Submits queries to the worker.
    """

    node: LifecycleNode
    configuration: Configuration
    publishing: Publishing
    submitting: Submitting


def open_service_and_action(
    node: LifecycleNode,
    name: str,
    service: tuple[type, Callable[[Any, Any], Any]],
    action: tuple[type, Callable[[ServerGoalHandle], Any]],
    goals: Goals,
) -> ActionServer:
    """Open a service and an action of the same name, whose callbacks may wait for the worker.

    Args:
        node: The node, which owns the service and the action.
        name: Name of the service and the action, such as `~/ask`.
        service: Type and callback of the service.
        action: Type and callback of the action.
        goals: The goals of the action, whose requests are cancelled with a goal.

    Returns:
        The action server, which the caller must destroy, because rclpy does not destroy it with the node.
    """
    waiting = ReentrantCallbackGroup()
    node.create_service(service[0], name, service[1], qos_profile=requests_qos(), callback_group=waiting)
    return ActionServer(
        node,
        action[0],
        name,
        action[1],
        cancel_callback=goals.cancel,
        callback_group=waiting,
        result_timeout=GOAL_RESULT_KEPT_S,
        **action_server_qos(),
    )
