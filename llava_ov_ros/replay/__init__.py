"""Recorded bags through the same path as live cameras: deterministic, every frame, no clock."""

from .bag import BagError, BagMessage, Contents, ImageTopic, contents, image_topics, read_messages
from .names import camera_names
from .plans import Planned, plan_about, plan_record, replay_plans
from .questions import QuestionsError, TimedQuestion, ask_at, read_questions
from .replay import Answered, ReplaySettings, replay
from .report import TIMINGS, answer_record, frames_record, is_correct, remarks
from .schedule import Schedule, TimedT

__all__ = [
    "TIMINGS",
    "Answered",
    "BagError",
    "BagMessage",
    "Contents",
    "ImageTopic",
    "Planned",
    "QuestionsError",
    "ReplaySettings",
    "Schedule",
    "TimedQuestion",
    "TimedT",
    "answer_record",
    "ask_at",
    "camera_names",
    "contents",
    "frames_record",
    "image_topics",
    "is_correct",
    "plan_about",
    "plan_record",
    "read_messages",
    "read_questions",
    "remarks",
    "replay",
    "replay_plans",
]
