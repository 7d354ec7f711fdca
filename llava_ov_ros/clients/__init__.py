"""Small clients of a running node, for any rclpy node: questions, plans, and hints from a goal to DONE.

They need rclpy and this package's messages, and nothing that comes from pip.
"""

from .ask_client import AskClient
from .client_errors import ClientError, DeclinedError, GivenUpError, NoNodeError, NoReplyError
from .hint_client import HintClient
from .pending import Pending
from .plan_client import PlanClient

__all__ = [
    "AskClient",
    "ClientError",
    "DeclinedError",
    "GivenUpError",
    "HintClient",
    "NoNodeError",
    "NoReplyError",
    "Pending",
    "PlanClient",
]
