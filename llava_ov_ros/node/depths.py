"""Depths of the QoS queues where a lost message would leave a client waiting for ever."""

from __future__ import annotations

from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile

from ..settings.parameters import MOST_WAITING

# Room for the requests of the longest queue, and for nine times as many that are refused at once. A short queue_size
# gets the same depth, because services are created before configure, and queue_size may change until then.
REQUESTS_DEPTH = 10 * MOST_WAITING
FEEDBACK_DEPTH = 5 * REQUESTS_DEPTH
"""Depth for pieces of answers and steps of plans, of which every request has many."""


def requests_qos() -> QoSProfile:
    """Return the QoS of a service and of its clients.

    Fast DDS delivers each response of a service to all clients of the service, so a client's queue must also have room
    for responses to other clients.
    """
    return QoSProfile(depth=REQUESTS_DEPTH)


def kept_qos(depth: int) -> QoSProfile:
    """Return the QoS of a topic whose last messages also reach who subscribes later, transient local, with that depth.

    A dashboard or a behaviour tree that starts late reads the last message with a depth of 1.
    """
    return QoSProfile(depth=depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def action_server_qos() -> dict[str, Any]:
    """Return the QoS of an action's services and topics, as keyword arguments of rclpy's ActionServer.

    The status topic keeps ROS's default depth of 1, because each of its messages has the states of all goals.
    """
    services = {f"{name}_service_qos_profile": requests_qos() for name in ("goal", "result", "cancel")}
    return {**services, "feedback_pub_qos_profile": QoSProfile(depth=FEEDBACK_DEPTH)}
