"""Questions about camera clips and their typed answers: query, clips, prompts, request, result."""

from .answering import answer_queries, answer_together
from .clips import RefusedError, cut_clips
from .kinds import SceneAnswer, SceneQuestion, Shaped, read_answer, shape
from .prompts import Kind, Prompts, PromptsError, find_prompts, load_prompts
from .query import Query, Result, Status, new_request_id
from .request import Request

__all__ = [
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
    "find_prompts",
    "load_prompts",
    "new_request_id",
    "read_answer",
    "shape",
]
