"""How many messages the middleware keeps where a lost one would leave somebody waiting for ever."""

from __future__ import annotations

from typing import Any

from rclpy.qos import QoSProfile

from ..settings.parameters import MOST_WAITING

# For each request that the longest queue takes, nine that are refused at once. The least that queue_size allows has the
# same depth: services are made before queue_size is final, which is when the node is configured.
REQUESTS_DEPTH = 10 * MOST_WAITING
FEEDBACK_DEPTH = 5 * REQUESTS_DEPTH
"""Of pieces and steps, of which every request has many."""


def requests_qos() -> QoSProfile:
    """Of a service and of its clients.

    Fast DDS shows the responses of a service to every client of it, so that a client, too, keeps those for the others.
    """
    return QoSProfile(depth=REQUESTS_DEPTH)


def action_server_qos() -> dict[str, Any]:
    """Of an action's services and topics, as rclpy's ActionServer takes them.

    Its status topic keeps the depth that ROS gives it, 1: each message has the states of all goals.
    """
    services = {f"{name}_service_qos_profile": requests_qos() for name in ("goal", "result", "cancel")}
    return {**services, "feedback_pub_qos_profile": QoSProfile(depth=FEEDBACK_DEPTH)}
