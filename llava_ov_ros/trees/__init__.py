"""Behaviours for trees of py_trees (extra `trees`): questions, plans, and hints from a goal to DONE.

Each is ticked and never waits; a behaviour that is interrupted cancels what it has asked for.
"""

from .asking_behaviours import AskChoice, AskQuestion
from .follow_hints import FollowHints
from .make_plan import MakePlan

__all__ = ["AskChoice", "AskQuestion", "FollowHints", "MakePlan"]
