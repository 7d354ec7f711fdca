"""From queries to their results: cut the clips, refuse what would be a guess, ask the model."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from ..ask_error import AskError
from ..frames import Clip, Frame
from ..no_op import no_op
from .blank import blank_remark
from .clips import RefusedError
from .kinds import read_answer
from .query import Query, Result, Status

if TYPE_CHECKING:
    # The engine's module imports torch, which this layer does without.
    from ..onevision import Ask, Counters, Generated


class AnswersQuestions(Protocol):
    """What is needed of an engine; `onevision.Engine` is one."""

    @property
    def name(self) -> str:
        """Name of the model, as answers carry it."""
        ...

    def ask(
        self,
        question: str,
        *,
        max_new_tokens: int,
        on_text: Callable[[str], None],
        should_stop: Callable[[], str | None],
        choices: Sequence[str] | None = None,
        grammar: str | None = None,
        history: Sequence[tuple[str, str]] = (),
        before: Sequence[str | Frame] = (),
    ) -> Ask:
        """One question, in the form that `stream` takes; with choices, they are compared."""
        ...

    def stream(
        self, clips: Sequence[Clip], asks: Sequence[Ask], *, mode: str
    ) -> Iterator[tuple[int, Generated | Exception]]:
        """Answer several questions about the same clips; yields number and outcome as they end."""
        ...

    def prepare(self, clips: Sequence[Clip], *, mode: str) -> bool:
        """Do one piece of the work that questions about these clips will need; False where there is none left."""
        ...

    def memory_bytes(self) -> int:
        """Bytes in use on the model's device."""
        ...

    def planned_bytes(self) -> int:
        """Bytes that weights, features, keys and values may come to; 0 where that was not predicted."""
        ...

    def counters(self) -> Counters:
        """What has been computed so far."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


_CUT_OFF = {
    "cancelled": (Status.CANCELLED, "cancelled; the text is what there was"),
    "deadline": (Status.DEADLINE, "cut off at deadline_s {deadline_s:g}; the text is what there was"),
}


@dataclass(eq=False)
class Asked:
    """A query, and who wants to hear of it.

    Attributes:
        query: What is asked.
        on_result: Called once with the result.
        on_start: Called with the clips when the model starts.
        on_text: Called with each piece of the answer.
        should_stop: Asked between tokens: "cancelled", "deadline" or None.
        text: What has been answered so far.
    """

    query: Query
    on_result: Callable[[Result], None]
    on_start: Callable[[tuple[Clip, ...]], None] = no_op
    on_text: Callable[[str], None] = no_op
    should_stop: Callable[[], str | None] = no_op
    text: str = field(default="", init=False)

    def hear(self, piece: str) -> None:
        """Take the next piece of the answer."""
        self.text += piece
        self.on_text(piece)


def answer_together(asked: Sequence[Asked], engine: AnswersQuestions, cut: Callable[[Query], tuple[Clip, ...]]) -> None:
    """Work on queries that have the same clips; every one gets its result, and no Exception of the model escapes.

    Args:
        asked: Queries of one `clips_key`.
        engine: The model.
        cut: Gives the clips of a query, or raises RefusedError.
    """
    started_s = time.monotonic()
    open_ones = list(asked)

    def end(one: Asked, result: Result) -> None:
        open_ones.remove(one)
        one.on_result(replace(result, total_s=time.monotonic() - started_s))

    for one in asked:
        reason = one.should_stop()
        if reason is not None:
            end(one, Result(one.query, _CUT_OFF[reason][0], f"{reason} while waiting in the queue"))
    if not open_ones:
        return
    clips: tuple[Clip, ...] = ()
    asking = list(open_ones)
    try:
        clips = asking[0].query.clips or cut(asking[0].query)
        asks = []
        for one in list(asking):
            one.on_start(clips)
            try:
                asks.append(_ask_of(one, engine))
            except Exception as error:  # noqa: BLE001 - the others are asked all the same
                asking.remove(one)
                end(one, _failed(one, clips, error))
        if not asks:
            return
        for number, outcome in engine.stream(clips, asks, mode=asking[0].query.mode):
            one = asking[number]
            end(one, _failed(one, clips, outcome) if isinstance(outcome, Exception) else _result(one, outcome, clips))
    except RefusedError as refused:
        for one in list(open_ones):
            end(one, Result(one.query, refused.status, refused.message))
    except Exception as error:  # noqa: BLE001 - whoever asks must outlive whatever a model does
        for one in list(open_ones):
            end(one, _failed(one, clips, error))


def answer(
    query: Query,
    engine: AnswersQuestions,
    cut: Callable[[Query], tuple[Clip, ...]],
    *,
    on_start: Callable[[tuple[Clip, ...]], None] = no_op,
    on_text: Callable[[str], None] = no_op,
    should_stop: Callable[[], str | None] = no_op,
) -> Result:
    """Work on one query; never raises an Exception of the model.

    Args:
        query: What is asked.
        engine: The model.
        cut: Gives the clips of a query, or raises RefusedError.
        on_start: Called with the clips when the model starts.
        on_text: Called with each piece of the answer.
        should_stop: Asked between tokens: "cancelled", "deadline" or None.

    Returns:
        The result; its `total_s` counts from this call.
    """
    results: list[Result] = []
    asked = Asked(query, results.append, on_start, on_text, should_stop)
    answer_together([asked], engine, cut)
    return results[0]


def _ask_of(one: Asked, engine: AnswersQuestions) -> Ask:
    """A query as the engine takes it."""
    return engine.ask(
        one.query.prompt or one.query.question,
        max_new_tokens=one.query.max_new_tokens,
        on_text=one.hear,
        should_stop=one.should_stop,
        choices=one.query.choices,
        grammar=one.query.grammar,
        history=one.query.history,
        before=one.query.before,
    )


def _failed(one: Asked, clips: tuple[Clip, ...], error: Exception) -> Result:
    """The result of a query that the model could not answer; what it had said by then is kept.

    A query that no model could take as it is ends as INVALID, and rests on no frame.
    """
    if isinstance(error, AskError):
        return Result(one.query, Status.INVALID, str(error))
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    message = f"{type(error).__name__}: {error}{where}"
    return Result(one.query, Status.MODEL_ERROR, message, text=one.text, clips=clips)


def _result(one: Asked, generated: Generated, clips: tuple[Clip, ...]) -> Result:
    status, message = _CUT_OFF.get(generated.finish, (Status.OK, ""))
    if generated.finish == "length":
        message = f"cut off at max_new_tokens {one.query.max_new_tokens}"
    scene = None if one.query.shaped is None else read_answer(one.query.shaped, generated)
    result = Result(
        one.query,
        status,
        # Fewer than were cut where memory ran out.
        clips=generated.clips or clips,
        text=generated.text if scene is None else scene.text,
        confidence=generated.confidence,
        time_to_first_token_s=generated.time_to_first_token_s,
        new_tokens=len(generated.token_ids),
        decode_s=generated.total_s - generated.time_to_first_token_s,
        scene=scene,
        generated=generated,
    )
    remarks = message.format(deadline_s=one.query.deadline_s), generated.remark, blank_remark(result.seen)
    return replace(result, message="; ".join(filter(None, remarks)))
