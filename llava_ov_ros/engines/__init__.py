"""Opens the engine that a name means: a checkpoint or a server, with a model that steps in, or one in the shadow."""

from .opening import LoadLocal, open_engine
from .shadowed import ShadowedEngine
from .with_fallback import EngineWithFallback

__all__ = ["EngineWithFallback", "LoadLocal", "ShadowedEngine", "open_engine"]
