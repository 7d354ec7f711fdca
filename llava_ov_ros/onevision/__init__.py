"""LLaVA-OneVision: clips and questions in; streamed text and token probabilities out. Knows nothing of ROS."""

from ..asking import Ask, Choice, Finish, Generated, LogitHook, NotFiniteError, Sampling
from ..checkpoints import CheckpointError
from ..modes import MODES, Mode
from .engine import Engine
from .engine_settings import Counters, EngineSettings
from .grammar import GrammarError
from .loading import load_engine
from .memory import MemoryPlan

__all__ = [
    "MODES",
    "Ask",
    "CheckpointError",
    "Choice",
    "Counters",
    "Engine",
    "EngineSettings",
    "Finish",
    "Generated",
    "GrammarError",
    "LogitHook",
    "MemoryPlan",
    "Mode",
    "NotFiniteError",
    "Sampling",
    "load_engine",
]
