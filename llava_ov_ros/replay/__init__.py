"""Replays recorded bags through the same cameras and questions as the node: every frame, without a clock."""

from .answer_replay import Answered, ReplaySettings, counted_by, replay
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
from .bag_pictures import read_pictures
from .names import camera_names
from .plan_replay import Planned, Seen, answers_with, replay_plans, replay_seen
from .question_file import ROUNDING_NS, QuestionsError, TimedQuestion, ask_at, read_questions
from .recording_clips import spread_clips
from .records import TIMINGS, AnswerRecord, PlanRecord, StepRecord, answer_record, is_correct, plan_record, written
from .remarks import remarks
from .schedule import Schedule, TimedT

__all__ = [
    "ROUNDING_NS",
    "TIMINGS",
    "AnswerRecord",
    "Answered",
    "BagError",
    "BagMessage",
    "Contents",
    "ImageTopic",
    "MalformedMessage",
    "PlanRecord",
    "Planned",
    "QuestionsError",
    "ReplaySettings",
    "Schedule",
    "Seen",
    "StepRecord",
    "TimedQuestion",
    "TimedT",
    "answer_record",
    "answers_with",
    "ask_at",
    "camera_names",
    "contents",
    "counted_by",
    "image_topics",
    "is_correct",
    "plan_record",
    "read_messages",
    "read_pictures",
    "read_questions",
    "remarks",
    "replay",
    "replay_plans",
    "replay_seen",
    "spread_clips",
    "why_no_picture",
    "written",
]
