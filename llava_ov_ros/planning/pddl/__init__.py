"""Vocabularies and plans in PDDL, through unified-planning (extra `planner`): a second judge, and a planner."""

from .certified_plan import CertifiedPlan, certified_plan
from .domain import NoCounterpartError, PddlDomain, domain_of, domain_text
from .fast_downward import PlannerError
from .judge import PddlVerdict, cached_domain, pddl_verdict
from .problem import instances_of, problem_of
from .readings import UndecidedError
from .start import Start
from .task import PlanningTask, TooLargeError, task_of

__all__ = [
    "CertifiedPlan",
    "NoCounterpartError",
    "PddlDomain",
    "PddlVerdict",
    "PlannerError",
    "PlanningTask",
    "Start",
    "TooLargeError",
    "UndecidedError",
    "cached_domain",
    "certified_plan",
    "domain_of",
    "domain_text",
    "instances_of",
    "pddl_verdict",
    "problem_of",
    "task_of",
]
