"""Has the server answer one question: bounded in number, sent again while nothing has come, scored where it chooses."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from ..asking import Ask, Generated, weighed
from .answer_events import GrowingAnswer, ScoredAnswer, scored_answer
from .breaker import Breaker
from .connection import Connection
from .probe import Capabilities
from .remote_counters import Counts
from .server_error import ServerError

T = TypeVar("T")
FIRST_PAUSE_S = 0.1
"""Pause before a request is sent again, where the server names none; it doubles with each time."""


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

    async def generate(
        self, ask: Ask, body: Mapping[str, Any], known: Capabilities, growing: GrowingAnswer, say: Callable[[str], None]
    ) -> Generated:
        """Have the server write an answer.

        Args:
            ask: The question.
            body: Model, messages and temperature.
            known: What the server can do.
            growing: Takes the answer as it comes; empty.
            say: Called with each piece of text.

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

        async def attempt() -> None:
            growing.begin()
            async with aclosing(self.connection.events({**body, **more})) as events:
                async for event in events:
                    if piece := growing.take(event):
                        say(piece)
            if growing.finish is None:
                raise ServerError("the server ended the answer without a reason", again=True, is_down=True)

        await self._tried(attempt, lambda: bool(growing.text))
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

    async def choose(self, ask: Ask, body: Mapping[str, Any]) -> Generated:
        """Have the server score each choice as the answer that the assistant has given, and take the most probable.

        Raises:
            ServerError: The server did not score every choice.
        """
        texts = ask.choices or ()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._score(body, text)) for text in texts]
        scored = [task.result() for task in tasks]
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

    async def _score(self, body: Mapping[str, Any], text: str) -> ScoredAnswer:
        said = [*body["messages"], {"role": "assistant", "content": text}]
        more = {"messages": said, "max_tokens": 1, "prompt_logprobs": 0, "add_generation_prompt": False}

        async def attempt() -> ScoredAnswer:
            return scored_answer(await self.connection.post({**body, **more}))

        return await self._tried(attempt, lambda: False)

    async def _tried(self, attempt: Callable[[], Awaitable[T]], has_begun: Callable[[], bool]) -> T:
        """Make an attempt, and repeat it as often as that may help, as long as nothing of the answer has come."""
        pause_s = FIRST_PAUSE_S
        number = 0
        while True:
            async with self.room:
                self.breaker.admit()
                self.counts.add("requests", 1)
                try:
                    result = await attempt()
                except ServerError as error:
                    self.counts.add("failures", 1)
                    if error.is_down:
                        self.breaker.failed(str(error))
                    else:
                        self.breaker.succeeded()
                    if has_begun() or not error.again or number == self.retries:
                        raise
                    wait_s = max(pause_s, error.wait_s or 0.0)
                except BaseException:
                    # Cancelled, because nobody wants the answer any more.
                    self.breaker.given_up()
                    raise
                else:
                    self.breaker.succeeded()
                    return result
            number += 1
            self.counts.add("retries", 1)
            await asyncio.sleep(wait_s)
            pause_s *= 2
