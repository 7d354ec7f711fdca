"""The one table of parameters and defaults, without ROS: for the node, replays, evaluations and command lines alike."""

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
