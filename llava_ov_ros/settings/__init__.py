"""The one table of parameters and their defaults, without ROS; the node, replays, evaluations and commands read it."""

from .allowed_values import StampSource
from .consistency import check_together
from .described import Described, ParameterError, Value, about
from .parameters import DEFAULTS, Settings, nanoseconds, parameter

__all__ = [
    "DEFAULTS",
    "Described",
    "ParameterError",
    "Settings",
    "StampSource",
    "Value",
    "about",
    "check_together",
    "nanoseconds",
    "parameter",
]
