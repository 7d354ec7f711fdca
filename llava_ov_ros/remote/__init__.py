"""A model on a server: questions go over HTTP as OpenAI chat completions. Knows neither ROS nor torch."""

from typing import TYPE_CHECKING, Any

from .address import AddressError
from .remote_settings import RemoteSettings
from .server_error import ProbeError, ServerError

if TYPE_CHECKING:
    from .probe import Capabilities
    from .remote_engine import RemoteEngine

__all__ = ["AddressError", "Capabilities", "ProbeError", "RemoteEngine", "RemoteSettings", "ServerError"]


def __getattr__(name: str) -> Any:
    """Import what needs httpx only when it is used: a machine whose models are its own does without httpx."""
    if name == "RemoteEngine":
        from .remote_engine import RemoteEngine

        return RemoteEngine
    if name == "Capabilities":
        from .probe import Capabilities

        return Capabilities
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
