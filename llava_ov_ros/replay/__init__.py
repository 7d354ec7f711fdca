"""Recorded bags through the same path as live cameras: deterministic, every frame, no clock."""

from .bag import (
    BagMessage,
    Contents,
    ImageTopic,
    MalformedMessage,
    contents,
    image_topics,
    read_messages,
    why_no_picture,
)
from .bag_error import BagError
from .clips import spread_clips
from .names import camera_names
from .pictures import read_pictures
from .plans import Planned, plan_about, plan_record, replay_plans
from .questions import ROUNDING_NS, QuestionsError, TimedQuestion, ask_at, read_questions
from .replay import Answered, ReplaySettings, counted_by, replay
from .report import TIMINGS, answer_record, frames_record, is_correct, remarks
from .schedule import Schedule, TimedT

__all__ = [
    "ROUNDING_NS",
    "TIMINGS",
    "Answered",
    "BagError",
    "BagMessage",
    "Contents",
    "ImageTopic",
    "MalformedMessage",
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
    "counted_by",
    "frames_record",
    "image_topics",
    "is_correct",
    "plan_about",
    "plan_record",
    "read_messages",
    "read_pictures",
    "read_questions",
    "remarks",
    "replay",
    "replay_plans",
    "spread_clips",
    "why_no_picture",
]
