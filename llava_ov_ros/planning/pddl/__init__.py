"""Vocabularies and plans in PDDL, through unified-planning (extra `planner`): a second judge, and a planner."""

from .certified_plan import CertifiedPlan, certified_plan
from .domain import NoCounterpartError, PddlDomain, domain_of, domain_text
from .fast_downward import PlannerError
from .judge import PddlVerdict, cached_domain, pddl_verdict
from .known_start import Start
from .problem import instances_of, problem_of
from .readings import UndecidedError
from .relevant import relevant_classes
from .seen_problem import SeenProblem, WrittenFact, commented, fact_rows, seen_problem
from .task import PlanningTask, TooLargeError, task_of

__all__ = [
    "CertifiedPlan",
    "NoCounterpartError",
    "PddlDomain",
    "PddlVerdict",
    "PlannerError",
    "PlanningTask",
    "SeenProblem",
    "Start",
    "TooLargeError",
    "UndecidedError",
    "WrittenFact",
    "cached_domain",
    "certified_plan",
    "commented",
    "domain_of",
    "domain_text",
    "fact_rows",
    "instances_of",
    "pddl_verdict",
    "problem_of",
    "relevant_classes",
    "seen_problem",
    "task_of",
]
