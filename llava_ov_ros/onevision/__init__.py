"""LLaVA-OneVision: clips and questions in; streamed text and token probabilities out. Knows nothing of ROS."""

from ..checkpoints import CheckpointError
from ..modes import MODES, Mode
from .decoding import Ask
from .engine import Engine
from .engine_settings import Counters, EngineSettings
from .generated import Choice, Finish, Generated, NotFiniteError
from .grammar import GrammarError
from .loading import load_engine
from .memory import MemoryPlan
from .sampling import LogitHook, Sampling

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
