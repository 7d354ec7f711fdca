"""A model on a server: questions go over HTTP as OpenAI chat completions. Knows neither ROS nor torch."""

from .address import AddressError
from .probe import Capabilities, ProbeError
from .remote_engine import RemoteEngine
from .remote_settings import RemoteSettings
from .server_error import ServerError

__all__ = ["AddressError", "Capabilities", "ProbeError", "RemoteEngine", "RemoteSettings", "ServerError"]
