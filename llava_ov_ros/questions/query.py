"""A query (a question with every default filled in) and its result."""

from __future__ import annotations

import math
import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from ..asking import Generated
from ..bounds import check_whole
from ..frames import Clip, Frame
from ..settings import DEFAULTS
from .kinds import SceneAnswer, Shaped


class Status(IntEnum):
    """How a query ended; the numbers are those of msg/Answer."""

    OK = 0
    STALE = 1
    FROZEN = 2
    NO_FRAMES = 3
    QUEUE_FULL = 4
    DROPPED = 5
    DEADLINE = 6
    CANCELLED = 7
    MODEL_ERROR = 8
    WORKER_DEAD = 9
    INACTIVE = 10
    INVALID = 11


def new_request_id() -> str:
    """A short identifier that is unique in a log."""
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True)
class Query:
    """A question with every default filled in.

    Attributes:
        question: The text.
        cameras: Names of the cameras to look through.
        mode: Visual mode of the engine: video, multi_image or image.
        window_ns: Length of the window that ends with each camera's newest frame; None: no window.
        range_ns: Past time range (first and last stamp), which comes before a window; None: no range. A query with
            neither looks at each camera's growing clip.
        max_frames: Most frames of one camera in a window or a range; the growing clip has its own bound.
        max_new_tokens: Longest answer.
        deadline_s: Seconds from the arrival of the request after which the answer is cut off; inf: never.
        request_id: Identifier from the client, or one that is made here.
        prompt: Text for the model; empty: the question.
        choices: Candidate answers to compare; None: text is generated.
        grammar: Grammar that restricts the generated text; None: no restriction.
        shaped: The question as one of a kind, by which the answer is read; None: plain text.
        clips: Frames to look at, taken from an earlier result; empty: clips are cut when the query's turn comes.
        history: Questions and answers of earlier turns, oldest first; the frames are shown before the first turn.
        before: Texts and pictures before the clips, for the engine's `Ask.before`.

    Raises:
        ValueError: max_frames or max_new_tokens is no whole number from 1.
    """

    question: str
    cameras: tuple[str, ...]
    mode: str = DEFAULTS.visual_mode
    window_ns: int | None = None
    range_ns: tuple[int, int] | None = None
    max_frames: int = DEFAULTS.clip_frames
    max_new_tokens: int = DEFAULTS.max_new_tokens
    deadline_s: float = math.inf
    request_id: str = field(default_factory=new_request_id)
    prompt: str = ""
    choices: tuple[str, ...] | None = None
    grammar: str | None = None
    shaped: Shaped | None = None
    clips: tuple[Clip, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    before: tuple[str | Frame, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_frames", "max_new_tokens"):
            check_whole(name, getattr(self, name), 1)

    def put_as(self, shaped: Shaped) -> Query:
        """The query as a question of a kind, in the words that the model's prompts have for that kind."""
        return replace(
            self,
            question=shaped.question.text,
            prompt=shaped.prompt,
            choices=shaped.choices,
            max_new_tokens=shaped.max_new_tokens,
            shaped=shaped,
        )

    @property
    def growing(self) -> bool:
        """Whether the query is about the growing clips, because it asks about no window and no range of its own."""
        return self.window_ns is None and self.range_ns is None

    @property
    def clips_key(self) -> Hashable:
        """Key of the clips: queries with equal keys get the same clips when these are cut at the same time."""
        if self.clips:
            return self.mode, tuple(map(id, self.clips))
        return self.cameras, self.mode, self.window_ns, self.range_ns, self.max_frames


@dataclass(frozen=True)
class Result:
    """How a query ended.

    Attributes:
        query: The query.
        status: How it ended.
        message: What is wrong and what to do, or a remark on an answer that is given; may be empty when OK.
        text: The answer, or its beginning where it was cut off.
        confidence: Probability of the answer among the compared ones, or the geometric mean of the token probabilities
            where text was generated; 0 without a token.
        clips: The frames that the answer rests on.
        time_to_first_token_s: From the start of work.
        total_s: From the arrival of the request, waiting included.
        new_tokens: Tokens generated.
        decode_s: From the first token to the last.
        scene: The typed answer; None where the query has no kind.
        generated: The engine's output; None: there was none.
    """

    query: Query
    status: Status
    message: str = ""
    text: str = ""
    confidence: float = 0.0
    clips: tuple[Clip, ...] = ()
    time_to_first_token_s: float = 0.0
    total_s: float = 0.0
    new_tokens: int = 0
    decode_s: float = 0.0
    scene: SceneAnswer | None = None
    generated: Generated | None = None

    @property
    def tokens_per_s(self) -> float:
        """Speed of decoding, the first token (that of the prefill) not counted; 0 below two tokens."""
        return (self.new_tokens - 1) / self.decode_s if self.new_tokens > 1 and self.decode_s > 0 else 0.0

    def model(self, asked: str) -> str:
        """Name of the model that gave the answer: the one that was asked, unless another one stepped in."""
        return asked if self.generated is None else self.generated.model or asked

    @property
    def seen(self) -> tuple[Clip, ...]:
        """All frames that the answer rests on: each clip, preceded by the pictures shown before the clips."""
        if not self.clips:
            return ()
        frames = {clip.camera: clip.frames for clip in self.clips}
        for camera in dict.fromkeys(part.camera for part in self.query.before if isinstance(part, Frame)):
            earlier = [part for part in self.query.before if isinstance(part, Frame) and part.camera == camera]
            frames[camera] = tuple(dict.fromkeys((*earlier, *frames.get(camera, ()))))
        return tuple(Clip(camera, each) for camera, each in frames.items())
