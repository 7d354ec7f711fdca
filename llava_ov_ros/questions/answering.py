"""Answers requests: cuts the clips, refuses where an answer would be a guess, asks the model."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..ask_error import AskError
from ..asking import AnswersQuestions, Ask, Generated
from ..frames import Clip
from ..no_op import no_op
from ..remote import ServerError
from .blank import blank_remark
from .clips import RefusedError
from .kinds import read_answer
from .query import Query, Result, Status
from .request import Request

_CUT_OFF = {
    "cancelled": (Status.CANCELLED, "cancelled; the text is what there was"),
    "deadline": (Status.DEADLINE, "cut off at deadline_s {deadline_s:g}; the text is what there was"),
}


def answer_together(
    requests: Sequence[Request],
    engine: AnswersQuestions,
    cut: Callable[[Query], tuple[Clip, ...]],
    end: Callable[[Request, Result], None] = Request.end,
) -> None:
    """Answer requests about the same clips; each of them ends once, and no Exception of the model escapes.

    Args:
        requests: Their queries have one `clips_key`.
        engine: The model.
        cut: Cuts the clips of a query, or raises RefusedError.
        end: Ends a request with its result.
    """
    open_ones = list(requests)

    def close(one: Request, result: Result) -> None:
        open_ones.remove(one)
        end(one, result)

    for one in requests:
        reason = one.should_stop()
        if reason is not None:
            close(one, Result(one.query, _CUT_OFF[reason][0], f"{reason} while waiting in the queue"))
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
                asks.append(_ask_of(one))
            except Exception as error:  # noqa: BLE001 - the others are asked all the same
                asking.remove(one)
                close(one, _failed(one, clips, error))
        if not asks:
            return
        for number, outcome in engine.stream(clips, asks, mode=asking[0].query.mode):
            one = asking[number]
            close(one, _failed(one, clips, outcome) if isinstance(outcome, Exception) else _result(one, outcome, clips))
    except RefusedError as refused:
        for one in list(open_ones):
            close(one, Result(one.query, refused.status, refused.message))
    except Exception as error:  # noqa: BLE001 - whoever asks must outlive whatever a model does
        for one in list(open_ones):
            close(one, _failed(one, clips, error))


def answer_queries(
    queries: Sequence[Query],
    engine: AnswersQuestions,
    cut: Callable[[Query], tuple[Clip, ...]],
    on_text: Callable[[str], None] = no_op,
) -> list[Result]:
    """Answer queries about the same clips and wait for all of them.

    Args:
        queries: They have one `clips_key`.
        engine: The model.
        cut: Cuts the clips of a query, or raises RefusedError.
        on_text: Called with each piece of each answer.

    Returns:
        The results in the order of the queries.
    """
    results: dict[int, Result] = {}
    requests = [
        Request(query, functools.partial(results.__setitem__, number), on_text=on_text)
        for number, query in enumerate(queries)
    ]
    answer_together(requests, engine, cut)
    return [results[number] for number in range(len(queries))]


def _ask_of(one: Request) -> Ask:
    """Make the engine's form of a query."""
    return Ask(
        one.query.prompt or one.query.question,
        one.query.max_new_tokens,
        one.hear,
        one.should_stop,
        choices=one.query.choices,
        grammar=one.query.grammar,
        history=one.query.history,
        before=one.query.before,
    )


def _failed(one: Request, clips: tuple[Clip, ...], error: Exception) -> Result:
    """Make the result of a query at which the model failed; the text that it had given so far is kept.

    A query that no model could answer, such as one longer than the model's context, ends as INVALID without frames.
    """
    if isinstance(error, AskError):
        return Result(one.query, Status.INVALID, str(error))
    if isinstance(error, ServerError):
        # The fault lies elsewhere, so a place in this program would only mislead.
        return Result(one.query, Status.MODEL_ERROR, str(error), text=one.text, clips=clips)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    message = f"{type(error).__name__}: {error}{where}"
    return Result(one.query, Status.MODEL_ERROR, message, text=one.text, clips=clips)


def _result(one: Request, generated: Generated, clips: tuple[Clip, ...]) -> Result:
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
        new_tokens=generated.new_tokens,
        decode_s=generated.total_s - generated.time_to_first_token_s,
        scene=scene,
        generated=generated,
    )
    remarks = message.format(deadline_s=one.query.deadline_s), generated.remark, blank_remark(result.seen)
    return replace(result, message="; ".join(filter(None, remarks)))
