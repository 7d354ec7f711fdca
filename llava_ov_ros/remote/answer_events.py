"""Reads the events of a streamed answer, and the log-probabilities of a prompt that holds an answer already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .server_error import ServerError, cited, only_characters

END = "<|im_end|>"
BEGIN = "<|im_start|>"
ASSISTANT = "assistant\n"
TOKEN_ID = "token_id:"
"""What vLLM puts before the number of a token with `return_tokens_as_token_ids`."""
LEAST_LOG = -1e6
"""Log-probabilities below are no probabilities any more; vLLM's own least is -9999."""
UNREADABLE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Token:
    """A token of an answer.

    Attributes:
        log: Natural logarithm of its probability.
        number: Its number; None if the server does not tell.
        spelt: Its bytes; None if the server does not tell.
    """

    log: float
    number: int | None
    spelt: bytes | None


@dataclass(frozen=True)
class Piece:
    """What one event adds to an answer.

    Attributes:
        text: Text, mostly of one token.
        tokens: The tokens, the end token included, if the server gives log-probabilities.
        finish: Why the answer ended; None if it goes on.
        prompt_tokens: Tokens of the prompt; None if the event does not tell.
    """

    text: str = ""
    tokens: tuple[Token, ...] = ()
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int | None = None


def piece_of(event: Mapping[str, Any]) -> Piece:
    """Read an event.

    Raises:
        ServerError: The event is no part of a chat completion, or a probability is no finite number.
    """
    try:
        told = (event.get("usage") or {}).get("prompt_tokens")
        prompt_tokens = None if told is None else int(told)
        if not event.get("choices"):
            return Piece(prompt_tokens=prompt_tokens)
        choice = event["choices"][0]
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise TypeError(text)
        tokens = tuple(_token(entry) for entry in (choice.get("logprobs") or {}).get("content") or ())
        finish = choice.get("finish_reason")
    except UNREADABLE:
        raise ServerError(f"an event of the server cannot be read: {cited(event)}", is_down=True) from None
    if any(math.isnan(token.log) for token in tokens):
        raise ServerError(
            "the log-probabilities of the server are not numbers: its model's numbers overflow (start it with another "
            "dtype), or its weights are damaged"
        )
    if finish not in ("stop", "length", None):
        raise ServerError(f"the server ended the answer as {cited(finish)!r}", is_down=True)
    return Piece(only_characters(text), tokens, finish, prompt_tokens)


def _token(entry: Mapping[str, Any]) -> Token:
    name, spelt = str(entry["token"]), entry.get("bytes")
    # vLLM writes null for what is not finite.
    log = math.nan if entry["logprob"] is None else min(float(entry["logprob"]), 0.0)
    if name.startswith(TOKEN_ID):
        number, named = int(name.removeprefix(TOKEN_ID)), None
    else:
        number, named = None, only_characters(name).encode()
    return Token(log, number, bytes(spelt) if isinstance(spelt, list) else named)


@dataclass
class GrowingAnswer:
    """The answer as far as its pieces have come.

    Attributes:
        text: Its text.
        finish: Why it ended; None before that.
        prompt_tokens: Tokens of the prompt; 0 until the server tells.
    """

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    _tokens: list[Token] = field(default_factory=list)
    _last: Piece = field(default_factory=Piece)

    def add(self, piece: Piece) -> None:
        """Add the next piece."""
        self.text += piece.text
        self._tokens += piece.tokens
        if piece.prompt_tokens is not None:
            self.prompt_tokens = piece.prompt_tokens
        if piece.finish is not None:
            self.finish, self._last = piece.finish, piece

    def check_ended(self) -> None:
        """Check that the server has said why the answer ends.

        Raises:
            ServerError: It has not.
        """
        if self.finish is None:
            raise ServerError("the server ended its response in the middle of the answer", again=True, is_down=True)

    @property
    def has_begun(self) -> bool:
        """Whether a token has come."""
        return bool(self.text or self._tokens)

    @property
    def logs(self) -> tuple[float, ...]:
        """Natural logarithms of the probabilities of all tokens, the end token included."""
        return tuple(token.log for token in self._tokens)

    @property
    def _ended(self) -> bool:
        """Whether the last token is the end token, which has no text."""
        if self.finish != "stop" or not self._tokens:
            return False
        spelt = [token.spelt for token in self._tokens]
        if None in spelt:
            return bool(self._last.tokens) and not self._last.text
        before = b"".join(one for one in spelt[:-1] if one is not None)
        return spelt[-1] == END.encode() or _complete(before.decode(errors="ignore")) == _complete(self.text)

    @property
    def _of_text(self) -> list[Token]:
        return self._tokens[: len(self._tokens) - self._ended]

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Probability of each token of the text; empty if the server does not give them."""
        return tuple(math.exp(token.log) for token in self._of_text)

    @property
    def end_probability(self) -> float | None:
        """Probability of the end token; None if the answer did not end by itself, or the server does not give it."""
        return math.exp(self._tokens[-1].log) if self._ended else None

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of the text; empty if the server does not tell them all."""
        numbers = [token.number for token in self._of_text]
        return () if None in numbers else tuple(number for number in numbers if number is not None)


def _complete(text: str) -> str:
    """A text without what stands for incomplete characters."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "")


@dataclass(frozen=True)
class ScoredAnswer:
    """An answer within a prompt.

    Attributes:
        token_ids: Its tokens.
        logs: Natural logarithms of their probabilities, and of that of the end token behind them.
        prompt_tokens: Tokens before it.
        text: Its text, where every token is whole characters; else None.
    """

    token_ids: tuple[int, ...]
    logs: tuple[float, ...]
    prompt_tokens: int
    text: str | None


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
        if len(answer) < 2 or not all(log >= LEAST_LOG for _, _, log in answer):
            raise ValueError("the answer has no log-probabilities")
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}"
        raise ServerError(f"the log-probabilities of the prompt cannot be read ({cited(reason)})") from None
    *numbers, _ = (number for number, _, _ in answer)
    text = "".join(text for _, text, _ in answer[:-1])
    is_whole = "\N{REPLACEMENT CHARACTER}" not in text
    return ScoredAnswer(tuple(numbers), tuple(log for _, _, log in answer), begin, text if is_whole else None)


def _told(entry: Mapping[str, Mapping[str, Any]] | None) -> tuple[int, str, float]:
    """Number, text and log-probability of a token of the prompt; the first token has none."""
    if not entry:
        return -1, "", math.nan
    number, about = next(iter(entry.items()))
    log = about["logprob"]
    return int(number), str(about["decoded_token"]), math.nan if log is None else min(float(log), 0.0)
