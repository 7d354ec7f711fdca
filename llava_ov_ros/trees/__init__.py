"""Behaviours for trees of py_trees (extra `trees`): questions, plans, and hints from a goal to DONE.

Each is ticked and never waits; a behaviour that is interrupted cancels what it has asked for.
"""

try:
    import py_trees as _py_trees  # noqa: F401
except ModuleNotFoundError as error:
    needs = "llava_ov_ros.trees needs py_trees: pip install 'py_trees>=2.2,<3'"
    raise ModuleNotFoundError(needs, name=error.name) from None

from .asking_behaviours import AskChoice, AskQuestion
from .follow_hints import FollowHints
from .make_plan import MakePlan

__all__ = ["AskChoice", "AskQuestion", "FollowHints", "MakePlan"]
