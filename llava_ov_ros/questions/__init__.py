"""Questions about camera clips and their typed answers: query, clips, prompts, request, result."""

from .answer_message import AnswerTypes, message_of_answer
from .answering import answer_queries, answer_together
from .clips import RefusedError, cut_clips
from .evidence_picture import evidence_jpeg
from .kinds import SceneAnswer, SceneQuestion, Shaped, read_answer, shape
from .prompts import Kind, Prompts, PromptsError, find_prompts, load_prompts
from .query import Query, Result, Status, new_request_id
from .request import Request

__all__ = [
    "AnswerTypes",
    "Kind",
    "Prompts",
    "PromptsError",
    "Query",
    "RefusedError",
    "Request",
    "Result",
    "SceneAnswer",
    "SceneQuestion",
    "Shaped",
    "Status",
    "answer_queries",
    "answer_together",
    "cut_clips",
    "evidence_jpeg",
    "find_prompts",
    "load_prompts",
    "message_of_answer",
    "new_request_id",
    "read_answer",
    "shape",
]
