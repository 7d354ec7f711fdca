"""Opens the engine that a name means: a checkpoint or a server, with a model that steps in, or one in the shadow."""

from .opening import LoadLocal, open_engine
from .shadowed import ShadowedEngine

__all__ = ["LoadLocal", "ShadowedEngine", "open_engine"]
