"""Reads the events of a streamed answer, and the log-probabilities of a prompt that holds an answer already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..bounds import shortened
from .server_error import ServerError

END = "<|im_end|>"
BEGIN = "<|im_start|>"
ASSISTANT = "assistant\n"
TOKEN_ID = "token_id:"
"""What vLLM puts before the number of a token with `return_tokens_as_token_ids`."""


@dataclass
class GrowingAnswer:
    """The answer as far as its events have come.

    Attributes:
        text: Its text.
        finish: Why it ended; None before that, and if the server gives another reason than an end token or the length.
        prompt_tokens: Tokens of the prompt; 0 until the server tells.
    """

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    _logs: list[float] = field(default_factory=list)
    _bytes: list[bytes] = field(default_factory=list)
    _ids: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Forget what has come, since the question is asked again."""
        self.text, self.finish, self.prompt_tokens = "", None, 0
        self._logs, self._bytes, self._ids = [], [], []

    def take(self, event: Mapping[str, Any]) -> str:
        """Take the next event, and return the piece of text in it.

        Raises:
            ServerError: The event is no part of a chat completion.
        """
        try:
            if usage := event.get("usage"):
                self.prompt_tokens = int(usage["prompt_tokens"])
            if not event.get("choices"):
                return ""
            choice = event["choices"][0]
            piece = choice["delta"].get("content") or ""
            for entry in (choice.get("logprobs") or {}).get("content") or ():
                self._logs.append(float(entry["logprob"]))
                token = str(entry["token"])
                if token.startswith(TOKEN_ID):
                    self._ids.append(int(token.removeprefix(TOKEN_ID)))
                self._bytes.append(bytes(entry["bytes"]) if entry.get("bytes") else token.encode())
            finish = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise ServerError(f"an event of the server cannot be read: {shortened(str(event))}", is_down=True) from None
        if not isinstance(piece, str):
            raise ServerError(f"a piece of the answer is no text: {shortened(str(piece))}", is_down=True)
        if finish in ("stop", "length"):
            self.finish = finish
        elif finish is not None:
            raise ServerError(f"the server ended the answer as {shortened(str(finish))!r}", is_down=True)
        self.text += piece
        return piece

    @property
    def first_log_probability(self) -> float | None:
        """Log-probability of the first token, which may be the end token; None if the server does not give it."""
        return self._logs[0] if self._logs else None

    @property
    def _ended(self) -> bool:
        """Whether the last log-probability is that of the end token, which has no text."""
        return self.finish == "stop" and bool(self._logs) and b"".join(self._bytes[:-1]) == self.text.encode()

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Probability of each token of the text; empty if the server does not give them."""
        return tuple(map(_probability, self._logs[: len(self._logs) - self._ended]))

    @property
    def end_probability(self) -> float | None:
        """Probability of the end token; None if the answer did not end by itself, or the server does not give it."""
        return _probability(self._logs[-1]) if self._ended else None

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of the text; empty if the server does not tell them."""
        return tuple(self._ids[: len(self._ids) - self._ended])


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer within a prompt.

    Attributes:
        token_ids: Its tokens.
        logs: Natural logarithms of their probabilities, and of that of the end token behind them.
        prompt_tokens: Tokens before it.
    """

    token_ids: tuple[int, ...]
    logs: tuple[float, ...]
    prompt_tokens: int


def scored_answer(response: Mapping[str, Any]) -> ScoredAnswer:
    """Find the last turn of a prompt in its log-probabilities (vLLM's `prompt_logprobs: 0`).

    Raises:
        ServerError: There are none, or the prompt does not end with a turn of the assistant.
    """
    try:
        found = response.get("prompt_logprobs") or response["choices"][0]["prompt_logprobs"]
        tokens = [_told(entry) for entry in found]
        end = max(index for index, (_, text, _) in enumerate(tokens) if text == END)
        begin = max(index for index in range(end) if tokens[index][1] == BEGIN) + 1
        speaker = ""
        while speaker != ASSISTANT:
            speaker += tokens[begin][1]
            begin += 1
            if not ASSISTANT.startswith(speaker):
                raise ValueError(f"the last turn begins with {speaker!r}")
        answer = tokens[begin : end + 1]
        if len(answer) < 2 or not all(math.isfinite(log) for _, _, log in answer):
            raise ValueError("the answer has no log-probabilities")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ServerError(f"the log-probabilities of the prompt cannot be read ({shortened(reason)})") from None
    return ScoredAnswer(tuple(one for one, _, _ in answer[:-1]), tuple(log for _, _, log in answer), begin)


def _told(entry: Mapping[str, Mapping[str, Any]] | None) -> tuple[int, str, float]:
    """Number, text and log-probability of a token of the prompt; the first token has none."""
    if not entry:
        return -1, "", math.nan
    number, about = next(iter(entry.items()))
    return int(number), str(about["decoded_token"]), float(about["logprob"])


def _probability(log: float) -> float:
    return math.exp(min(log, 0.0))
