"""What is asked, and how it ended."""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from ..bounds import check_whole
from ..frames import Clip, Frame
from ..settings import DEFAULTS
from .kinds import SceneAnswer, Shaped

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ..onevision import Generated


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
    """What is asked, every default filled in.

    Attributes:
        question: The text.
        cameras: Names of the cameras to look through.
        mode: Visual mode of the engine: video, multi_image or image.
        window_ns: Length of a window back from each camera's newest frame; None: no such window is asked about.
        range_ns: Past time range (first and last stamp); it comes before a window. Where there is neither, the query
            is about each camera's growing clip.
        max_frames: Most frames of one camera in a window or a range; the growing clip has its own bound.
        max_new_tokens: Longest answer.
        deadline_s: Seconds from the arrival of the request.
        request_id: The client's, or one made here.
        prompt: What the model is asked; empty: the question.
        choices: Answers that are compared; None: text is generated.
        grammar: What generated text is held to; None: nothing.
        shaped: How the answer is read as one of a kind of question; None: as it is.
        clips: The frames that it is about, those of an earlier result; empty: they are cut when it is its turn.
        history: Questions and answers of earlier turns, oldest first; the frames are shown before the first of them.
        before: Texts and pictures that go before the clips, for the engine's `Ask.before`.

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
    deadline_s: float = DEFAULTS.deadline_s
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

    @property
    def growing(self) -> bool:
        """Whether the query is about the growing clips, because it asks about no window and no range of its own."""
        return self.window_ns is None and self.range_ns is None

    @property
    def clips_key(self) -> Hashable:
        """Equal keys mean the same clips, when they are cut at the same time."""
        if self.clips:
            return self.mode, tuple(map(id, self.clips))
        return self.cameras, self.mode, self.window_ns, self.range_ns, self.max_frames


@dataclass(frozen=True)
class Result:
    """How a query ended.

    Attributes:
        query: What was asked.
        status: How it ended.
        message: What is wrong and what to do, or a remark on an answer that is given; may be empty when OK.
        text: The answer, or what there was of it when it was cut off.
        confidence: Of an answer among compared ones, its probability; else the geometric mean of the token
            probabilities; 0 where there is no token.
        clips: The frames that the answer rests on.
        time_to_first_token_s: From the start of work.
        total_s: From the arrival of the request, waiting included.
        new_tokens: Tokens generated.
        decode_s: From the first token to the last.
        scene: The answer as one of its kind, where the query has one.
        generated: What the model gave; None where it gave nothing.
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

    @property
    def seen(self) -> tuple[Clip, ...]:
        """All frames that the answer rests on: the clips, and at their beginnings the pictures shown before them."""
        if not self.clips:
            return ()
        frames = {clip.camera: clip.frames for clip in self.clips}
        for camera in dict.fromkeys(part.camera for part in self.query.before if isinstance(part, Frame)):
            earlier = [part for part in self.query.before if isinstance(part, Frame) and part.camera == camera]
            frames[camera] = tuple(dict.fromkeys((*earlier, *frames.get(camera, ()))))
        return tuple(Clip(camera, each) for camera, each in frames.items())
