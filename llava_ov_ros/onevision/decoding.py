"""Decodes the answers to several questions with one prefix: one prefill of all suffixes, then one step per token."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional

from ..asking import Ask, Finish, Generated, NotFiniteError, stop_wish
from ..frames import Clip
from .devices import uploaded
from .key_values import PrefixKeyValues, SuffixKeyValues
from .language import LanguageModel, logits_of
from .sampling import sampled
from .steps import EagerSteps, StaticSteps, Steps
from .token_rules import EarlierTokens
from .tokens import PromptTokenizer, TextStream


class BatchRow:
    """One answer while it is generated: a row of the batch.

    Attributes:
        number: Number of the question.
        ask: The question.
        tokens: Tokens so far, without an end token.
        probabilities: Probability of each of these tokens.
        end_probability: Probability of the end token; None before the answer has ended by itself.
        first_token_at_s: Time of the first token on the monotonic clock; None before it.
        finish: Why the answer ended; None while it continues, and if it failed.
        failure: The error that ended the answer, if its logits were not finite.
    """

    def __init__(self, number: int, ask: Ask, tokenizer: PromptTokenizer, earlier: EarlierTokens | None = None) -> None:
        """Create an answer without tokens.

        Args:
            number: Number of the question.
            ask: The question.
            tokenizer: The model's tokenizer.
            earlier: Applies the checkpoint's rules about earlier tokens; None if there are none.
        """
        self.number = number
        self.ask = ask
        self.earlier = earlier
        self.failure: NotFiniteError | None = None
        self.tokens: list[int] = []
        self.probabilities: list[float] = []
        self.end_probability: float | None = None
        self.first_token_at_s: float | None = None
        self.finish: Finish | None = None
        self._stream = TextStream(tokenizer)
        self._generator = torch.Generator().manual_seed(ask.sampling.seed) if ask.sampling.temperature else None

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def goes_on(self) -> bool:
        """Whether the answer continues: it has neither ended nor failed."""
        return self.finish is None and self.failure is None

    def sample(self, logits: torch.Tensor, own: torch.Tensor) -> tuple[int, float]:
        """Draw the next token at random, and return it with its probability.

        Args:
            logits: Logits to draw from, float32 (vocabulary,).
            own: Logits before the rules about earlier tokens changed them; they give the probability.
        """
        assert self._generator is not None, "the answer is greedy"
        token = sampled(logits, self.ask.sampling, self._generator)
        return token, float(torch.softmax(own, dim=-1)[token])

    def fail(self, dtype: torch.dtype) -> None:
        """Record that the logits of the next token, computed in `dtype`, are not finite."""
        place = f"token {len(self.tokens) + 1} of the answer"
        self.failure = NotFiniteError(place, str(dtype).removeprefix("torch."))

    def take(self, token: int, probability: float, end_ids: frozenset[int]) -> None:
        """Add the next token; end the answer at an end token, at `max_new_tokens`, or if `should_stop` says so."""
        if self.first_token_at_s is None:
            self.first_token_at_s = time.monotonic()
        if token in end_ids:
            self.end_probability = probability
            self.end("stop")
            return
        self.tokens.append(token)
        self.probabilities.append(probability)
        if self.earlier is not None:
            self.earlier.add(token)
        piece = self._stream.push(token)
        if piece:
            self.ask.on_text(piece)
        finish = "length" if len(self.tokens) >= self.ask.max_new_tokens else stop_wish(self.ask)
        if finish is not None:
            self.end(finish)

    def end(self, finish: Finish) -> None:
        """Record why the answer ended. An incomplete character at its end is left out of the text."""
        self.finish = finish


def end_unwanted(
    asks: dict[int, Ask], clips: tuple[Clip, ...], started_s: float, tokenizer: PromptTokenizer
) -> Iterator[tuple[int, Generated]]:
    """Remove the questions whose `should_stop` says so from `asks`, and yield their numbers and empty answers."""
    for number in list(asks):
        wish = stop_wish(asks[number])
        if wish is not None:
            row = BatchRow(number, asks.pop(number), tokenizer)
            row.end(wish)
            yield number, answer_of(row, clips, 0, started_s)


def answer_of(row: BatchRow, clips: tuple[Clip, ...], prompt_tokens: int, started_s: float) -> Generated:
    """Convert an answer that has ended to its result.

    Args:
        row: The answer.
        clips: Clips that the answer is about.
        prompt_tokens: Tokens of the prompt.
        started_s: Time of the request on the monotonic clock.
    """
    now_s = time.monotonic()
    assert row.finish is not None
    return Generated(
        text=row.text,
        token_ids=tuple(row.tokens),
        probabilities=tuple(row.probabilities),
        finish=row.finish,
        prompt_tokens=prompt_tokens,
        time_to_first_token_s=0.0 if row.first_token_at_s is None else row.first_token_at_s - started_s,
        total_s=now_s - started_s,
        clips=clips,
        end_probability=row.end_probability,
    )


@torch.inference_mode()
def first_logits(
    model: LanguageModel, prefix: PrefixKeyValues, suffixes: Sequence[torch.Tensor], capacity: int
) -> tuple[SuffixKeyValues, torch.Tensor]:
    """Prefill the suffixes of all rows together.

    Args:
        model: The language model.
        prefix: Keys and values of the prefix that all rows share.
        suffixes: Embeddings of each row's suffix, (tokens, hidden).
        capacity: Most tokens of a row after the prefix, including its answer.

    Returns:
        The suffixes' keys and values, and the logits of each answer's first token, (rows, vocabulary).
    """
    longest = max(len(suffix) for suffix in suffixes)
    padded = torch.stack([functional.pad(suffix, (0, 0, 0, longest - len(suffix))) for suffix in suffixes])
    key_values = SuffixKeyValues(model, prefix, len(suffixes), capacity)
    return key_values, logits_of(model, key_values.run(padded, [len(suffix) for suffix in suffixes]))


def decode(
    model: LanguageModel,
    prefix: PrefixKeyValues,
    suffixes: Sequence[torch.Tensor],
    rows: Sequence[BatchRow],
    end_ids: frozenset[int],
    static_steps: StaticSteps | None = None,
) -> Iterator[BatchRow]:
    """Generate all answers together, and yield each row as soon as it ends or fails; it then leaves the batch.

    Args:
        model: The language model.
        prefix: Keys and values of the prefix that all rows share.
        suffixes: Embeddings of each row's suffix, (tokens, hidden).
        rows: The answers, without tokens.
        end_ids: Tokens that end an answer.
        static_steps: Runs the steps in fixed shapes; None runs each step in the shape of the batch.
    """
    capacity = max(len(s) + row.ask.max_new_tokens for s, row in zip(suffixes, rows, strict=True))
    key_values, logits = first_logits(model, prefix, suffixes, capacity)
    steps: Steps | None = None
    going = list(rows)
    while True:
        for row, (token, probability) in zip(going, _chosen(going, logits), strict=True):
            if math.isfinite(probability):
                row.take(token, probability, end_ids)
            else:
                row.fail(model.embedding.dtype)
        kept = [index for index, row in enumerate(going) if row.goes_on]
        if len(kept) < len(going):
            yield from (row for row in going if not row.goes_on)
            if not kept:
                return
            going = [going[index] for index in kept]
            (key_values if steps is None else steps).keep(kept)
        if steps is None:
            if static_steps is None:
                steps = EagerSteps(model, key_values)
            else:
                steps = static_steps.begin(prefix, key_values, capacity)
        logits = steps.step([row.tokens[-1] for row in going])


@torch.inference_mode()
def _chosen(rows: Sequence[BatchRow], logits: torch.Tensor) -> list[tuple[int, float]]:
    """Next token and probability of each row; the probability is NaN if the row's logits are not finite.

    The results of all greedy rows are copied together, so that the host waits for the device once.
    """
    # Before rules and hooks change them: a single logit that is not finite makes the row's sum not finite.
    health = logits.sum(dim=-1)
    ruled = [index for index, row in enumerate(rows) if row.earlier is not None]
    ruled_index = uploaded(ruled, logits.device) if ruled else None
    own = logits[:0] if ruled_index is None else logits[ruled_index]
    for index, row in enumerate(rows):
        if row.earlier is not None:
            row.earlier.change(logits[index])
        if row.ask.hook is not None:
            logits[index] = row.ask.hook(row.tokens, logits[index])
    best, tokens = logits.max(dim=-1)
    logs = best - logits.logsumexp(dim=-1)
    if ruled_index is not None:
        logs[ruled_index] = own.gather(1, tokens[ruled_index][:, None])[:, 0] - own.logsumexp(dim=-1)
    # float64 holds every token id exactly, so that one copy, and one wait, suffices.
    found = torch.stack([tokens.double(), logs.exp().double(), health.double()], dim=-1).tolist()
    chosen: list[tuple[int, float]] = []
    for index, (row, (token, probability, total)) in enumerate(zip(rows, found, strict=True)):
        if not math.isfinite(total):
            chosen.append((int(token), math.nan))
        elif row.ask.sampling.temperature > 0:
            chosen.append(row.sample(logits[index], own[ruled.index(index)] if index in ruled else logits[index]))
        else:
            chosen.append((int(token), probability))
    return chosen
