"""Vocabularies and plans in PDDL, through unified-planning (extra `planner`): a second judge of plans."""

from .domain import NoCounterpartError, PddlDomain, domain_of, domain_text
from .judge import PddlVerdict, pddl_verdict
from .problem import instances_of, problem_of
from .readings import UndecidedError

__all__ = [
    "NoCounterpartError",
    "PddlDomain",
    "PddlVerdict",
    "UndecidedError",
    "domain_of",
    "domain_text",
    "instances_of",
    "pddl_verdict",
    "problem_of",
]
