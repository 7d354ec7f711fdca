"""Message classes of pictures and video; the packages of some of them may not be installed."""

from __future__ import annotations

import array
import os
from typing import Any

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from .other_messages import message_types


class NotInstalledError(ValueError):
    """A package of messages is not installed; the text names the package and says how to install it."""


def message_class(kind: str) -> type:
    """Return the class of a message type, such as `sensor_msgs/msg/Image`.

    Raises:
        NotInstalledError: The package of the type is not installed or cannot be imported.
    """
    package, _, name = kind.split("/")
    try:
        found = message_types(package, name)
    except ImportError as error:
        raise NotInstalledError(f"{kind} cannot be used: {error}") from None
    if found is None:
        distribution = os.environ.get("ROS_DISTRO") or "<distribution>"
        raise NotInstalledError(
            f"{kind} needs the package {package}, which is not installed: apt install "
            f"ros-{distribution}-{package.replace('_', '-')}, or build it in your workspace"
        )
    message_type: type = found[0]
    return message_type


def type_name(message_type: type) -> str:
    """Return the full name of a message class, such as `sensor_msgs/msg/Image`."""
    return f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"


def to_ros(message: Any) -> Any:
    """Convert a message that rosbags has read to a message of rclpy; the stamp stays as recorded.

    Fields that only one of the two definitions has are left out.

    Args:
        message: A message of a type in `message_types.IMAGE_TYPES`, as rosbags returns it.

    Raises:
        NotInstalledError: The package of the message's type is not installed or cannot be imported.
    """
    made = message_class(message.__msgtype__)()
    for name in made.get_fields_and_field_types():
        if hasattr(message, name):
            setattr(made, name, _field(name, getattr(message, name)))
    return made


def _field(name: str, value: Any) -> Any:
    if name == "header":
        return Header(stamp=_time(value.stamp), frame_id=value.frame_id)
    if name == "timestamp":
        return _time(value)
    # rclpy would check any other sequence byte by byte.
    return array.array("B", value.tobytes()) if name == "data" else value


def _time(stamp: Any) -> Time:
    return Time(sec=stamp.sec, nanosec=stamp.nanosec)
