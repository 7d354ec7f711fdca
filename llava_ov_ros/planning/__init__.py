"""Plans in a robot's own vocabulary: asking a model for them, reading them, and validating them by simulation."""

from ..settings.allowed_values import Decoding
from .findings import Finding, Reason
from .model.attempts import NoAnswerError, PlanOptions, make_plan
from .model.certified_hint import certified_hint, doubt_about, is_reached, needs_planner
from .model.conversation import AnswerQueries, decompose_about, plan_about, plan_outcome, seen_about
from .model.decompose import Decomposition, decompose_ask, read_decomposition
from .model.judging import goal_conditions_of
from .model.plan_prompt import (
    LONGEST_GOAL,
    MOST_PICTURES,
    GoalTextError,
    PlanAsk,
    checked_step,
    decoding_named,
    goal_text,
    next_step_ask,
    plan_ask,
    repair_ask,
    reported_step,
    step_grammar,
    validators_named,
    whole_plan_grammar,
)
from .model.repair import repair_prompt
from .model.results import (
    Hint,
    NextStep,
    PlannedStep,
    PlanResult,
    StepSource,
    StepStatus,
    StepStream,
    read_next_step,
    read_plan_answer,
)
from .model.seen_facts import SeenFact, seen_facts
from .plan_file import PlanRow, RowError, read_rows, rows_in
from .plan_steps import Plan, PlanError, Step, from_rows, split_line
from .read.clauses import Unread
from .read.goal_line import GoalCondition, goal_line, goal_of, parse_goal_line
from .read.goal_sentence import read_goal
from .read.plan_line import parse_line
from .read.plan_text import Reading, Skipped, read_plan
from .validate.goal import Goal, GoalError, conditions, goal_from
from .validate.reachability import Impossible, impossible_in
from .validate.reports import Report, Situation, StepOutcome
from .validate.simulation import Validation, validate
from .vocabulary import Action, Argument, Vocabulary
from .vocabulary_file import find_vocabulary, load_vocabulary
from .yaml_entry import VocabularyError

__all__ = [
    "LONGEST_GOAL",
    "MOST_PICTURES",
    "Action",
    "AnswerQueries",
    "Argument",
    "Decoding",
    "Decomposition",
    "Finding",
    "Goal",
    "GoalCondition",
    "GoalError",
    "GoalTextError",
    "Hint",
    "Impossible",
    "NextStep",
    "NoAnswerError",
    "Plan",
    "PlanAsk",
    "PlanError",
    "PlanOptions",
    "PlanResult",
    "PlanRow",
    "PlannedStep",
    "Reading",
    "Reason",
    "Report",
    "RowError",
    "SeenFact",
    "Situation",
    "Skipped",
    "Step",
    "StepOutcome",
    "StepSource",
    "StepStatus",
    "StepStream",
    "Unread",
    "Validation",
    "Vocabulary",
    "VocabularyError",
    "certified_hint",
    "checked_step",
    "conditions",
    "decoding_named",
    "decompose_about",
    "decompose_ask",
    "doubt_about",
    "find_vocabulary",
    "from_rows",
    "goal_conditions_of",
    "goal_from",
    "goal_line",
    "goal_of",
    "goal_text",
    "impossible_in",
    "is_reached",
    "load_vocabulary",
    "make_plan",
    "needs_planner",
    "next_step_ask",
    "parse_goal_line",
    "parse_line",
    "plan_about",
    "plan_ask",
    "plan_outcome",
    "read_decomposition",
    "read_goal",
    "read_next_step",
    "read_plan",
    "read_plan_answer",
    "read_rows",
    "repair_ask",
    "repair_prompt",
    "reported_step",
    "rows_in",
    "seen_about",
    "seen_facts",
    "split_line",
    "step_grammar",
    "validate",
    "validators_named",
    "whole_plan_grammar",
]
