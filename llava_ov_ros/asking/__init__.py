"""What an engine is asked and what it gives, without torch: every engine and every caller knows these."""

from .answers_questions import AnswersQuestions, answers_in_order, may_hold_together
from .ask import GREEDY, LEAST_TEMPERATURE, Ask, LogitHook, Sampling, stop_wish
from .generated import Choice, Finish, Generated, NotFiniteError, checked_mode, weighed

__all__ = [
    "GREEDY",
    "LEAST_TEMPERATURE",
    "AnswersQuestions",
    "Ask",
    "Choice",
    "Finish",
    "Generated",
    "LogitHook",
    "NotFiniteError",
    "Sampling",
    "answers_in_order",
    "checked_mode",
    "may_hold_together",
    "stop_wish",
    "weighed",
]
