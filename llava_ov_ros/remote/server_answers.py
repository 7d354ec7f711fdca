"""Has the server answer one question: bounded in number, sent again while nothing has come, scored where it chooses."""

from __future__ import annotations

import asyncio
import math
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from ..ask_error import AskError
from ..asking import Ask, Generated, weighed
from ..bounds import quoted
from .answer_events import GrowingAnswer, Piece, ScoredAnswer, piece_of, scored_answer
from .breaker import Admission, Breaker
from .connection import Connection
from .probe import Capabilities
from .remote_counters import Counts
from .repeating import repeated
from .server_error import ServerError

T = TypeVar("T")
Say = Callable[[Piece | ServerError], None]
"""Is called with each piece of an answer, which may be empty, as the request is sent and the response comes; and with
each error after which a request is sent again."""


@dataclass(frozen=True)
class ServerAnswers:
    """Sends the requests of questions over a connection.

    Attributes:
        connection: The connection.
        breaker: Knows whether the server is left alone.
        counts: Counts requests, repetitions and failures.
        room: Bounds the requests that are with the server at once.
        retries: How often a request is sent again.
    """

    connection: Connection
    breaker: Breaker
    counts: Counts
    room: asyncio.Semaphore
    retries: int

    async def generate(self, ask: Ask, body: Mapping[str, Any], known: Capabilities, say: Say) -> Generated:
        """Have the server write an answer.

        Args:
            ask: The question.
            body: Model, messages and temperature.
            known: What the server can do.
            say: Is told how it goes on.

        Raises:
            ServerError: The server did not answer, or ended in the middle of its answer.
        """
        more: dict[str, Any] = {
            "max_tokens": ask.max_new_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if "log_probabilities" not in known.lacking:
            more |= {"logprobs": True, "top_logprobs": 0, "return_tokens_as_token_ids": True}
        if ask.grammar is not None:
            # As in the local engine, which applies a checkpoint's rules against repetition to free text alone.
            more |= {"structured_outputs": {"grammar": ask.grammar}, "repetition_penalty": 1.0}

        growing = GrowingAnswer()

        async def attempt(admission: Admission) -> None:
            nonlocal growing
            growing = GrowingAnswer()
            async with aclosing(self.connection.events({**body, **more})) as events:
                async for event in events:
                    piece = piece_of(event)
                    growing.add(piece)
                    if growing.has_begun:
                        admission.begun()
                    say(piece)
            growing.check_ended()

        await self._tried(attempt, say, lambda: growing.has_begun)
        assert growing.finish is not None, "an attempt that ends has an answer"
        return Generated(
            text=growing.text,
            token_ids=growing.token_ids,
            probabilities=growing.probabilities,
            finish=growing.finish,
            prompt_tokens=growing.prompt_tokens,
            time_to_first_token_s=0.0,
            total_s=0.0,
            remark="" if growing.probabilities or not growing.text else "the server gives no probabilities",
            end_probability=growing.end_probability,
        )

    async def choose(self, ask: Ask, body: Mapping[str, Any], say: Say) -> Generated:
        """Have the server score each choice as the answer that the assistant has given, and take the most probable.

        Args:
            ask: The question.
            body: Model, messages and temperature.
            say: Is told how it goes on.

        Raises:
            AskError: Two choices have the same tokens.
            ServerError: The server did not score every choice.
        """
        texts = ask.choices or ()
        # While the server is left alone, one request is the trial, and the others would be refused beside it.
        alone = [await self._score(body, texts[0], say)] if self.breaker.is_open else []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._score(body, text, say)) for text in texts[len(alone) :]]
        scored = [*alone, *(task.result() for task in tasks)]
        _check_different(texts, scored)
        choices = weighed(texts, [math.fsum(one.logs) for one in scored])
        # Ties are broken by tokens, as the local engine does.
        best = min(range(len(texts)), key=lambda i: (-choices[i].log_probability, scored[i].token_ids))
        *of_text, of_end = (math.exp(log) for log in scored[best].logs)
        return Generated(
            text=texts[best],
            token_ids=scored[best].token_ids,
            probabilities=tuple(of_text),
            finish="stop",
            prompt_tokens=scored[best].prompt_tokens,
            time_to_first_token_s=0.0,
            total_s=0.0,
            end_probability=of_end,
            choices=choices,
        )

    async def _score(self, body: Mapping[str, Any], text: str, say: Say) -> ScoredAnswer:
        said = [*body["messages"], {"role": "assistant", "content": text}]
        more = {"messages": said, "max_tokens": 1, "prompt_logprobs": 0, "add_generation_prompt": False}

        async def attempt(admission: Admission) -> ScoredAnswer:
            return scored_answer(await self.connection.post({**body, **more}))

        scored = await self._tried(attempt, say, lambda: False)
        # Byte pairs are those of the composed form (NFC).
        if scored.text is not None and unicodedata.normalize("NFC", scored.text) != unicodedata.normalize("NFC", text):
            raise ServerError(
                f"the server's template changes the answer {quoted(text)} to {quoted(scored.text)}, so that its "
                "probability is not known"
            )
        return scored

    async def _tried(self, attempt: Callable[[Admission], Awaitable[T]], say: Say, has_begun: Callable[[], bool]) -> T:
        """Make an attempt, and repeat it as often as that may help, as long as nothing of the answer has come."""

        async def one() -> T:
            async with self.room:
                admission = self.breaker.admit()
                self.counts.add("requests", 1)
                say(Piece())
                try:
                    result = await attempt(admission)
                except ServerError as error:
                    self.counts.add("failures", 1)
                    if error.is_down:
                        admission.failed(str(error))
                    else:
                        admission.succeeded()
                    raise
                except BaseException:
                    # Cancelled, because nobody wants the answer any more.
                    admission.given_up()
                    raise
                admission.succeeded()
                say(Piece())
                return result

        def may_repeat(error: ServerError) -> bool:
            if has_begun():
                return False
            self.counts.add("retries", 1)
            say(error)
            return True

        return await repeated(one, self.retries, may_repeat)


def _check_different(texts: Sequence[str], scored: Sequence[ScoredAnswer]) -> None:
    numbers = [one.token_ids for one in scored]
    for number, ids in enumerate(numbers):
        if ids in numbers[:number]:
            alike = f"{quoted(texts[numbers.index(ids)])} and {quoted(texts[number])}"
            raise AskError(f"choices: {alike} are the same text to the tokenizer")
