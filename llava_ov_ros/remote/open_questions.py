"""The questions of one call of `stream`: what is known of each answer, until its end is yielded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..asking import Ask, Finish, Generated, stop_wish
from ..frames import Clip
from ..no_op import no_op
from .answer_events import GrowingAnswer, Piece
from .server_error import ServerError

SILENT_S = 1.0
"""A remark tells that the server had been silent for longer than this when an answer was cut off."""
UNSEEN_S = 2.0
"""A remark tells that nothing on this machine looked at a question for longer than this."""


class QuestionEvent(NamedTuple):
    """Something that happened to a question: a piece of text, an error before another attempt, or the end."""

    number: int
    happened: Piece | ServerError | Generated | Exception
    is_end: bool = False


@dataclass
class OpenQuestion:
    """A question that is with the server, as far as the caller of `stream` has been told of it.

    Attributes:
        ask: The question.
        growing: The answer so far.
        heard_s: When something was last heard of the question, as time.monotonic.
        seen_s: When the caller's thread last looked whether somebody still wants the answer, as time.monotonic.
        unseen_s: Longest time between two such looks, in seconds.
        first_s: When the first token came.
        waits: What the question waits for, for a remark; empty while the server answers.
        future: Ends the question when it is cancelled.
    """

    ask: Ask
    growing: GrowingAnswer = field(default_factory=GrowingAnswer)
    heard_s: float = field(default_factory=time.monotonic)
    seen_s: float = field(default_factory=time.monotonic)
    unseen_s: float = 0.0
    first_s: float | None = None
    waits: str = ""
    future: Future[Generated] | None = None

    def see(self) -> None:
        """Note that the caller's thread looks whether somebody still wants the answer."""
        now_s = time.monotonic()
        self.unseen_s, self.seen_s = max(self.unseen_s, now_s - self.seen_s), now_s

    def hear(self, happened: Piece | ServerError) -> None:
        """Note a piece of the answer, or an error after which the question is sent again."""
        self.heard_s = time.monotonic()
        if isinstance(happened, ServerError):
            self.waits = f"the question was to be sent again after this error: {happened}"
            return
        self.waits = ""
        self.growing.add(happened)
        if self.first_s is None and self.growing.has_begun:
            self.first_s = self.heard_s
        if happened.text:
            self.ask.on_text(happened.text)


def unwanted(
    questions: dict[int, OpenQuestion],
    clips: Sequence[Clip],
    started_s: float,
    on_missed: Callable[[float], None] = no_op,
) -> Iterator[tuple[int, Generated | Exception]]:
    """End the questions that nobody wants answered any more.

    Args:
        questions: The open questions; those that end are removed.
        clips: The clips that the questions are about.
        started_s: When the questions came, as time.monotonic.
        on_missed: Called for each question that was sent and has reached its deadline without a token, with the seconds
            since something was heard of it.
    """
    for number, question in list(questions.items()):
        question.see()
        if (wish := stop_wish(question.ask)) is not None:
            if wish == "deadline" and question.future is not None and not question.growing.has_begun:
                on_missed(time.monotonic() - question.heard_s)
            cancel(question)
            del questions[number]
            yield number, unfinished(question, clips, wish, started_s)


def cancel(question: OpenQuestion) -> None:
    """End the requests of a question."""
    if question.future is not None:
        question.future.cancel()


def timed(outcome: Generated, question: OpenQuestion, clips: Sequence[Clip], started_s: float) -> Generated:
    """An answer with its clips and times, as seen from the call of `stream`."""
    total_s = time.monotonic() - started_s
    first_s = total_s if question.first_s is None else question.first_s - started_s
    return replace(outcome, clips=tuple(clips), time_to_first_token_s=first_s, total_s=total_s)


def unfinished(question: OpenQuestion, clips: Sequence[Clip], wish: Finish, started_s: float) -> Generated:
    """The answer as far as it had come when nobody wanted it any more."""
    growing, silent_s = question.growing, time.monotonic() - question.heard_s
    silence = f"the server had sent nothing for {silent_s:.1f} s" if silent_s > SILENT_S else ""
    if question.unseen_s > UNSEEN_S:
        # An operator who reads only that the server was silent would search at the wrong end.
        silence = (
            f"this process did not come to look at the request for {question.unseen_s:.1f} s: the machine is too busy, "
            "or it was stopped"
        )
    generated = Generated(
        text=growing.text,
        token_ids=growing.token_ids,
        probabilities=growing.probabilities,
        finish=wish,
        prompt_tokens=growing.prompt_tokens,
        time_to_first_token_s=0.0,
        total_s=0.0,
        remark=question.waits or silence,
    )
    return timed(generated, question, clips, started_s)
